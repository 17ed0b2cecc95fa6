"""Unlearning of some examples, compared with models that have never seen them."""
