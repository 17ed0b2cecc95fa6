"""Videos as small networks, every byte accounted for."""
