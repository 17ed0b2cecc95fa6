"""Kolmogorov-Arnold layers: a learned function on every edge."""
