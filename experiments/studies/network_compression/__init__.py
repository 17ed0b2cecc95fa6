"""Smaller networks by policies that remove and shrink layers: N2N."""
