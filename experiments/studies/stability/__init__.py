"""Thresholds of SGD's stability, predicted and simulated.

Run as ``python -m experiments.studies.stability quick`` or ``standard``.
"""
