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
    Initializer(
        name="winner",
        summary="kernels of sine networks (SIREN), with noise by the target (WINNER)",
        build="jaxopt_lab.layers.sine.winner:winner",
        reduces_to=Neutral(
            {"omega": 1.0, "noise": 0.0},
            "jax.nn.initializers:variance_scaling",
            given={"scale": 2.0, "mode": "fan_in", "distribution": "uniform"},
        ),
        topic="implicit representations",
        options=("omega", "first", "noise"),
        example="jaxopt_lab.catalog.examples.networks:noisy_kernel",
        moments=(
            "0, (2 / inputs + noise**2) / omega**2, "
            "3 - 1.2 / (1 + inputs * noise**2 / 2)**2"
        ),
        spectrum=(
            "(sqrt(outputs) - sqrt(inputs)) * sqrt(2 / inputs + noise**2) / omega, "
            "(sqrt(outputs) + sqrt(inputs)) * sqrt(2 / inputs + noise**2) / omega"
        ),
        paper="Chandravamsi et al. 2025, arXiv:2509.09719",
        code="hemanthgrylls/SIREN-square",
        full="many draws of two kinds; its variances have plain tests",
    ),
)
