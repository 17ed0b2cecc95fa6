"""Measures of a point: sharpness and gradient noise."""
