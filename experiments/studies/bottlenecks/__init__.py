"""Hourglass and conventional perceptrons of equal budgets."""
