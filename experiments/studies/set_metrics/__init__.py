"""Metrics of two sets under noise, dropped modes and invented modes."""
