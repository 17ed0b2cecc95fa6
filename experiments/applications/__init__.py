"""Application systems: one command, one table and one figure each."""
