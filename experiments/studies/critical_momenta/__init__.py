"""What a memory of critical gradients and momenta is said to do, measured.

Run as ``python -m experiments.studies.critical_momenta quick`` or ``full``.
"""
