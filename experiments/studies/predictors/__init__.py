"""Rank correlation of predictors of accuracy from the text of a program."""
