"""Logit adjustment, MDCS and BatchFormer where few classes have most examples."""
