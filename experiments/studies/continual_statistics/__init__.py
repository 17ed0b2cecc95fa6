"""Normalization statistics in continual learning with a memory."""
