"""Sharpness of a network along its training, over the edge of stability.

Run as ``python -m experiments.studies.edge_of_stability quick`` or ``standard``.
"""
