"""Naive Bayes against logistic regression as probes of features."""
