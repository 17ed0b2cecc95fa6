"""Layers on graphs and hypergraphs of padded arrays."""
