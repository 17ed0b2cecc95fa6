"""Losses of one example, regularizers, and losses with state (kind ``loss``)."""
