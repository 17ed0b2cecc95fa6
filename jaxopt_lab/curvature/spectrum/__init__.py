"""Spectra: eigenvalues, densities, traces, diagonals."""
