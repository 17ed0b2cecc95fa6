"""Curvature, weights and loss landscape of a trained network, as one page."""
