"""Layers on manifolds: positive definite matrices, and the Poincare ball."""
