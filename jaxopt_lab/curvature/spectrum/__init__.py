"""Eigenvalues, densities, traces."""
