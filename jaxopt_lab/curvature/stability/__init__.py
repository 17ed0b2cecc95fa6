"""Stability of SGD, and the effect of batches on the Hessian."""
