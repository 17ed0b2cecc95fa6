"""Recordings of the same events, found and ordered by their fingerprints."""
