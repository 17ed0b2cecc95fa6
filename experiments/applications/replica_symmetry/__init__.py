"""Replica symmetry breaking: a dense Hopfield network and the glass that it becomes."""
