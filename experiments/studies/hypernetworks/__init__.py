"""Encodings of hypernetworks, and initial weights that a hypernetwork predicts."""
