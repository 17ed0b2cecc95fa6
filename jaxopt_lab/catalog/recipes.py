"""The rows of recipes."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Recipe

ROWS: tuple[Recipe, ...] = (
    Recipe(
        name="distillation",
        summary="a student learns the softened probabilities of a frozen teacher",
        build="jaxopt_lab.recipes:make_distillation_step",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.training:make_train_step"),
        topic="compression",
        options=("weight", "temperature"),
        example="jaxopt_lab.catalog.examples.batches:student_and_teacher",
        roles=("student", "teacher"),
        gradients={"student": 1, "teacher": 0},
        frozen=("teacher",),
        paper="Hinton, Vinyals and Dean 2015, arXiv:1503.02531",
    ),
)
