"""A codec of speech whose decoder is told the voice."""
