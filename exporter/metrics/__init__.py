"""What is exposed: the catalogue of families and its text."""
