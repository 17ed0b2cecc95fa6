"""Searches of graph layers: Auto-GNN."""
