"""Lossless codes of images by probabilistic circuits, every byte accounted for."""
