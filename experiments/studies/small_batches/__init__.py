"""Normalizations at small batches."""
