"""What sharpness-aware methods are said to do, measured on digits.

Run as ``python -m experiments.reproduce.sharpness quick`` or ``full``.
"""
