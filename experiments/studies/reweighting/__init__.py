"""Weights of examples by their losses, on repeated and on noisy examples."""
