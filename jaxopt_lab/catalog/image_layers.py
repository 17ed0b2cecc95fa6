"""The rows of layers of networks that restore images."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_ROOM = "jaxopt_lab.layers"
_EXAMPLES = "jaxopt_lab.catalog.examples.images"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="learned_wiener",
        summary="Wiener deconvolution of features with learned noise ratios (INFWIDE)",
        build=f"{_ROOM}.restoration.learned_wiener:learned_wiener",
        module=f"{_ROOM}.restoration.modules:LearnedWiener",
        reduces_to=Neutral(
            {"noise": "learned"},
            f"{_ROOM}.restoration.learned_wiener:with_fixed_ratio",
        ),
        topic="restoration",
        options=("noise", "start", "least", "padding"),
        example=f"{_EXAMPLES}:blurred_images",
        replaces=("block",),
        couples_positions=True,
        residual_bytes="40",
        paper="Zhang et al. 2022, arXiv:2207.08201",
        code="zhihongz/INFWIDE",
        full="dear; its closed forms are plain",
    ),
)
