"""Multitasking Hebbian networks: several diluted patterns retrieved at once."""
