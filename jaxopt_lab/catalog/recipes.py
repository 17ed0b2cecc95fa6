"""The rows of recipes."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Recipe

_EXAMPLES = "jaxopt_lab.catalog.examples.batches"

ROWS: tuple[Recipe, ...] = (
    Recipe(
        name="distillation",
        summary="a student learns the softened probabilities of a frozen teacher",
        build="jaxopt_lab.recipes:make_distillation_step",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.training:make_train_step"),
        topic="compression",
        options=("weight", "temperature"),
        example=f"{_EXAMPLES}:student_and_teacher",
        roles=("student", "teacher"),
        gradients={"student": 1, "teacher": 0},
        frozen=("teacher",),
        paper="Hinton, Vinyals and Dean 2015, arXiv:1503.02531",
    ),
    Recipe(
        name="adversarial",
        summary="every batch twice, the second perturbed against the model",
        build="jaxopt_lab.recipes:make_adversarial_step",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.training:make_train_step"),
        topic="robustness",
        options=("weight", "epsilon", "alpha"),
        example=f"{_EXAMPLES}:one_classifier",
        roles=("model",),
        gradients={"model": 2},
        states="jaxopt_lab.recipes.adversarial:with_auxiliary",
        paper="Madry et al. 2018, arXiv:1706.06083",
    ),
    Recipe(
        name="conadv",
        summary="adversarial training with perturbations that are one step old",
        build="jaxopt_lab.recipes:make_conadv_step",
        reduces_to=Neutral({"tau": 0}, "jaxopt_lab.recipes:make_adversarial_step"),
        topic="large batches",
        options=("tau", "weight", "epsilon", "alpha"),
        example=f"{_EXAMPLES}:one_classifier",
        roles=("model",),
        gradients={"model": 2},
        parts=("adversarial",),
        states="jaxopt_lab.recipes.conadv:with_carried",
        carries=True,
        paper="Liu et al. 2021, arXiv:2106.00221",
    ),
    # Ensembles, few and wrong labels, representations
    Recipe(
        name="ensemble",
        summary="several members in one program, pushed apart or together",
        build="jaxopt_lab.recipes:make_ensemble_step",
        reduces_to=Neutral(
            {"diversity": 0.0},
            "jaxopt_lab.training:make_train_step",
            "one for each member",
        ),
        topic="ensembles",
        options=("diversity", "kind"),
        example=f"{_EXAMPLES}:two_members",
        roles=("members",),
        gradients={"members": 1},
        paper="Abe et al. 2023, arXiv:2302.00704",
    ),
    Recipe(
        name="fixmatch",
        summary="few labels, and certain predictions of weak views for strong ones",
        build="jaxopt_lab.recipes:make_fixmatch_step",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.training:make_train_step"),
        topic="few labels",
        options=("weight", "threshold"),
        example=f"{_EXAMPLES}:two_views",
        roles=("model",),
        gradients={"model": 2},
        paper="Sohn et al. 2020, arXiv:2001.07685",
    ),
)
