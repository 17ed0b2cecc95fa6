"""Conditional flow matching with and without weights of near pairs (W-CFM)."""
