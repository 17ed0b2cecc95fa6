"""Heads of a detector over a pyramid of features."""
