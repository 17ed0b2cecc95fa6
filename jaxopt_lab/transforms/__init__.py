"""Gradient transformations, wrappers and optimizers (kind ``transform``)."""
