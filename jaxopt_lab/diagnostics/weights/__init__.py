"""Diagnostics from weights and activations alone."""
