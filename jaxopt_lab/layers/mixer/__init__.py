"""Mixers of sequences by structured matrices."""
