"""Mixers of sequences on masked characters."""
