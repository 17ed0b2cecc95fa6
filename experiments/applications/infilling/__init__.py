"""Masked spans of text beside next characters as objectives."""
