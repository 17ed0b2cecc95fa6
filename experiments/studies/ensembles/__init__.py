"""Diversity of an ensemble's members, rewarded and punished."""
