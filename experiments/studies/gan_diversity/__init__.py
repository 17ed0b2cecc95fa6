"""Modes that generators cover, by number and training of their discriminators."""
