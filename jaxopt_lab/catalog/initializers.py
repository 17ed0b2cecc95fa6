"""The rows of initializers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Initializer, Neutral

ROWS: tuple[Initializer, ...] = (
    Initializer(
        name="lecun_normal_untruncated",
        summary="normal numbers of variance one over the inputs, not truncated",
        build="jaxopt_lab.layers.initializers:lecun_normal_untruncated",
        reduces_to=Neutral(
            {},
            "jax.nn.initializers:variance_scaling",
            given={"scale": 1.0, "mode": "fan_in", "distribution": "normal"},
        ),
        example="jaxopt_lab.catalog.examples.predictions:kernel",
        moments="0, 1 / inputs, 3",
        spectrum="sqrt(outputs / inputs) - 1, sqrt(outputs / inputs) + 1",
        paper="Klambauer et al. 2017",
    ),
)
