"""What is known about jobs, and what follows from it: no I/O, no clock."""
