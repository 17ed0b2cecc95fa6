"""Comparisons of methods, or of other parts, over seeds and at equal budgets."""
