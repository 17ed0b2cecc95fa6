"""The minima that different optimizers find, side by side.

Run as ``python -m experiments.studies.landscapes quick`` or ``standard``.
"""
