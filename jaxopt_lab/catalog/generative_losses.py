"""The rows of losses of generative models."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.flows"
_ROOM = "jaxopt_lab.losses"

ROWS: tuple[Loss, ...] = (
    Loss(
        name="weighted_flow_matching",
        summary="squared error of a velocity, near pairs weighted more (W-CFM)",
        build=f"{_ROOM}.flow_errors:weighted_flow_matching",
        reduces_to=Neutral(
            {"epsilon": float("inf")}, f"{_ROOM}.flow_errors:squared_error"
        ),
        topic="generative models",
        options=("epsilon", "cost"),
        example=f"{_EXAMPLES}:velocities",
        aligned=("displacement",),
        lower_bound=0.0,
        perfect=0.0,
        vectors="wcfm",
        paper="W-CFM 2025, from the formula",
        full="a squared error; its vectors and limit are plain",
        known_failures={
            "extreme_outputs": "a squared error of 1e30 is beyond float32",
        },
    ),
    Loss(
        name="meco",
        summary="likelihood of a density up to a constant, with a running normalizer",
        build=f"{_ROOM}.unnormalized:meco",
        reduces_to=Neutral(
            {"averaging": 1.0}, f"{_ROOM}.unnormalized:importance_sampled"
        ),
        topic="generative models",
        options=("averaging",),
        example=f"{_EXAMPLES}:log_densities",
        stateful=True,
        constant_factors="the weights of the noise samples",
        paper="MECO, from the abstract",
        full="few numbers; its gradients, limits and training are plain",
    ),
)
