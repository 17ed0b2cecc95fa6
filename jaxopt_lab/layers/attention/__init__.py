"""Attention whose cost is linear in the number of tokens."""
