"""Weights of a trained network rounded after the training, by every method."""
