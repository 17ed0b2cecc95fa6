"""Residual blocks: where their norms stand, and by how much they count."""
