"""Kernels of infinite width and depth, and finite networks on the way to them."""
