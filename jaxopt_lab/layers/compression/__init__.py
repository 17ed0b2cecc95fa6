"""Layers with few, shared or constant weights."""
