"""Thresholds of all classes (TCM), and several positives with ranks (CoDiEmb)."""
