"""The minima that different optimizers find, side by side.

Run as ``python -m experiments.reproduce.landscapes quick`` or ``full``.
"""
