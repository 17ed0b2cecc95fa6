"""Searches of architectures from a grammar: einspace."""
