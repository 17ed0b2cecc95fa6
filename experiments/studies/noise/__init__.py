"""Gradient noise on a network of many layers."""
