"""Claims about sharpness-aware methods, measured on digits.

Run as ``python -m experiments.studies.sharpness quick`` or ``standard``.
"""
