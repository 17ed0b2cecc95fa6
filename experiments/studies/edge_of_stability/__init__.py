"""Where the sharpness of a network settles while it is trained.

Run as ``python -m experiments.studies.edge_of_stability quick`` or ``full``.
"""
