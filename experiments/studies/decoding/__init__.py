"""Decoders on small trained models of text: tokens a call, and what they cost."""
