"""Diagnostics of the activations of a network."""
