"""Adapters on random features, dense ones and probes, at equal parameters."""
