"""Digits learned two classes at a time, with and without memory and distillation."""
