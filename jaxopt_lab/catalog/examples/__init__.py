"""Tiny inputs of parts, as NumPy arrays; rows name them."""
