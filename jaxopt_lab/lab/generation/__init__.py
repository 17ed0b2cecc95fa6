"""Text from trained runs: their model steps, their characters, and the decoders."""
