"""Application systems: one command, one table, one figure and verdicts each."""
