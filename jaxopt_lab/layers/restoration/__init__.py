"""Layers that restore images."""
