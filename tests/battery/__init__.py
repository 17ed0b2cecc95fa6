"""One battery of checks for every method, and planted faults for every check."""
