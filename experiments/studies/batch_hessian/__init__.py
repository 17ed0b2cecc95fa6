"""Eigenvalues and stable learning rates against the batch size.

Run as ``python -m experiments.studies.batch_hessian quick`` or ``standard``.
"""
