"""Calibration of a quantized network without its data."""
