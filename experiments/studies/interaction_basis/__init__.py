"""Sparsity of interactions in local interaction, principal and neuron bases."""
