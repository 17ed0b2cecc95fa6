"""Norm placements and residual scales of a deep transformer."""
