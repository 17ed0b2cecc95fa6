"""Lossless codes of digits by a probabilistic circuit."""
