"""The tests, and what they measure with."""
