"""The performance goals, measured side by side in one run: ``make bench``."""
