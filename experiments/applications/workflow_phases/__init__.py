"""Phases of operations from their frames."""
