"""Anomalies of textures by the discrepancy of two attentions (FOD)."""
