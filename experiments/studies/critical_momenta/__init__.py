"""Claims about a memory of critical gradients and momenta, measured.

Run as ``python -m experiments.studies.critical_momenta quick`` or ``standard``.
"""
