"""Recipes: training steps of several roles beyond the plain one."""

from jaxopt_lab.recipes.distillation import (
    init_distillation,
    make_distillation_step,
    soft_divergence,
)

__all__ = ["init_distillation", "make_distillation_step", "soft_divergence"]
