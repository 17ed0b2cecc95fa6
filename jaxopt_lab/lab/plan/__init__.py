"""Cost of a run on devices that need not exist."""
