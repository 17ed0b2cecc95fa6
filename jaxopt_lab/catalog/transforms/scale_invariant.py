"""The rows of methods for weights whose scale does not change the loss."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform

_PAPER = "Heo et al. 2021, arXiv:2006.08217"


def _row(name: str, **facts: Any) -> Transform:
    return Transform(
        name=name,
        family="scale_invariant",
        build=f"jaxopt_lab.transforms.scale_invariant:{name}",
        gradients=1,
        needs=frozenset({"params"}),
        **facts,
    )


ROWS = (
    _row(
        "adamp",
        summary="Adam whose steps do not lengthen scale-invariant weights",
        role="optimizer",
        reduces_to=Neutral({"delta": 0.0}, "optax:adamw", "no tensor is projected"),
        options=(
            "learning_rate",
            "b1",
            "b2",
            "eps",
            "weight_decay",
            "delta",
            "wd_ratio",
            "nesterov",
        ),
        overrides={"learning_rate": 1e-3},
        state_bytes="8",
        temp_bytes="8",
        tpu_temp_bytes="1.4",
        vectors="adamp",
        paper=_PAPER,
        code="clovaai/AdamP",
    ),
    _row(
        "sgdp",
        summary="momentum whose steps do not lengthen scale-invariant weights",
        role="optimizer",
        reduces_to=Neutral({"delta": 0.0}, "momentum", "no tensor is projected"),
        options=(
            "learning_rate",
            "momentum",
            "dampening",
            "nesterov",
            "weight_decay",
            "delta",
            "wd_ratio",
            "eps",
            "project_momentum",
        ),
        overrides={"learning_rate": 0.1, "momentum": 0.9},
        state_bytes="4",
        temp_bytes="8",
        tpu_temp_bytes="0.1",
        vectors="sgdp",
        paper=_PAPER,
        code="clovaai/AdamP",
    ),
    _row(
        "project_radial",
        summary="any optimizer without the part of its step along the weights",
        role="wrapper",
        reduces_to=Neutral({"delta": 0.0}, "inner", "no tensor is projected"),
        options=("delta", "eps"),
        state_bytes="0",
        temp_bytes="8",
        # The products of parameter and direction are stored before they are summed.
        tpu_temp_bytes="1.4",
        paper=_PAPER,
    ),
    _row(
        "normalize_and_project",
        summary="weights that keep the norms that they begin with",
        role="last link",
        reduces_to=Neutral({"every": 10**9}, "optax:identity", "it is never time"),
        options=("every", "per"),
        state_bytes="8 / 32768",
        state_text="4 a tensor",
        temp_bytes="8",
        tpu_temp_bytes="0.1",
        vectors="nap",
        paper="Lyle et al. 2024, arXiv:2407.01800",
        code="none: the points that the text leaves open are ours",
        known_failures={
            "tree_shapes": "a tensor of ones whose gradient is a multiple of it stays"
        },
    ),
)
