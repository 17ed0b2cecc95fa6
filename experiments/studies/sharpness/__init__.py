"""What sharpness-aware methods are said to do, measured on digits.

Run as ``python -m experiments.studies.sharpness quick`` or ``full``.
"""
