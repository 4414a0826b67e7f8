"""What a network is, and its answer, in NumPy alone."""
