"""Densities known up to a constant: MECO, noise contrast and the exact likelihood."""
