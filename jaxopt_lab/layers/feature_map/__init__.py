"""Layers on random features, which stand for dense layers and their activations."""
