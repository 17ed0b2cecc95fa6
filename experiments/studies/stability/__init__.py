"""Where SGD stops being stable: predicted thresholds against simulated runs.

Run as ``python -m experiments.studies.stability quick`` or ``full``.
"""
