"""Cost and savings of compressed optimizer state in training.

Run as ``python -m experiments.studies.compressed quick`` or ``standard``.
"""
