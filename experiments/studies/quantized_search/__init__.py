"""Searches of sizes and bit widths: SimQ-NAS and QuantNAS."""
