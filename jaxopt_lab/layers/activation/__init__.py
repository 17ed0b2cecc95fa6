"""Activations, and the dropout that keeps their moments."""
