"""Where the sharpness of a network settles while it is trained.

Run as ``python -m experiments.reproduce.edge_of_stability quick`` or ``full``.
"""
