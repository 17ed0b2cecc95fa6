"""Calibrators after training, and RankMixup in it."""
