"""Matrices known by their products with vectors."""
