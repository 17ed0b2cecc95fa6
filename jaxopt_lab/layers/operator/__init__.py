"""Layers that map functions on grids to functions."""
