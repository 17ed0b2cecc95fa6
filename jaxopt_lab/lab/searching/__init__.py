"""Searches over the options of training runs."""
