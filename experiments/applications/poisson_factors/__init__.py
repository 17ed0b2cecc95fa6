"""Gamma process dynamic Poisson factors: held-out counts and forecasts of words."""
