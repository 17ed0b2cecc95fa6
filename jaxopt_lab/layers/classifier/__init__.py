"""Classifiers whose weights are points in the space of features."""
