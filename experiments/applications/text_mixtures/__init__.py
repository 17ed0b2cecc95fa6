"""Near duplicates and mixtures of sources of text."""
