"""The rows of layers that keep less for the backward pass."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.layers"
_SAVING = "jaxopt_lab.layers.memory_saving"
_CODES = ("groups", "bits", "decay", "rounding")
_FORWARD = "outputs; the gradient is rounded at every setting"
# What the rows of Mesa share.
_MESA: dict[str, Any] = {
    "example": f"{_EXAMPLES}:in_groups",
    "state": "running",
    "gradient": "rounded",
    "residual_bytes": "1 if bits > 4 else 0.5",
    "paper": "Pan et al. 2021",
    "code": "ziplab/Mesa",
}

ROWS: tuple[Layer, ...] = (
    Layer(
        name="mesa_gelu",
        summary="GELU that keeps 8-bit codes of its input",
        build=f"{_SAVING}.mesa_gelu:mesa_gelu",
        module=f"{_SAVING}.modules:MesaGelu",
        reduces_to=Neutral({}, f"{_SAVING}.mesa_gelu:tanh_gelu", _FORWARD),
        options=("approximate", *_CODES),
        replaces=("activation",),
        vectors="mesa",
        **_MESA,
    ),
    Layer(
        name="mesa_softmax",
        summary="softmax that keeps 8-bit codes of its output",
        build=f"{_SAVING}.mesa_softmax:mesa_softmax",
        module=f"{_SAVING}.modules:MesaSoftmax",
        reduces_to=Neutral({}, f"{_SAVING}.mesa_softmax:plain_softmax", _FORWARD),
        options=("group_axis", *_CODES),
        replaces=("activation",),
        **_MESA,
        full="the code of mesa_gelu around another function",
    ),
    Layer(
        name="mesa_layer_norm",
        summary="layer normalization that keeps 8-bit codes of its input",
        build=f"{_SAVING}.mesa_layer_norm:mesa_layer_norm",
        module=f"{_SAVING}.modules:MesaLayerNorm",
        reduces_to=Neutral({}, "flax.nnx:LayerNorm", _FORWARD, given={"epsilon": 1e-6}),
        options=("eps", *_CODES),
        replaces=("norm",),
        **_MESA,
        full="the code of mesa_gelu around another function",
    ),
    Layer(
        name="mesa_dense",
        summary="dense layer that keeps 8-bit codes of its input",
        build=f"{_SAVING}.mesa_dense:mesa_dense",
        module=f"{_SAVING}.modules:MesaDense",
        reduces_to=Neutral({}, "flax.nnx:Linear", _FORWARD, given={"out_features": 6}),
        options=_CODES,
        replaces=("linear",),
        **_MESA,
        full="the code of mesa_gelu around another function",
    ),
    Layer(
        name="wta_crs_dense",
        summary="dense layer that keeps a few rows of its input, drawn by their size",
        build=f"{_SAVING}.wta_crs_dense:wta_crs_dense",
        module=f"{_SAVING}.modules:WtaCrsDense",
        reduces_to=Neutral(
            {"ratio": 1.0}, "flax.nnx:Linear", given={"out_features": 6}
        ),
        options=("ratio", "min_rows"),
        example=f"{_EXAMPLES}:half_the_rows",
        replaces=("linear",),
        gradient="sampled",
        residual_bytes="4 * ratio",
        vectors="wta_crs",
        paper="Liu et al. 2023",
        code="zirui-ray-liu/WTACRS",
    ),
)
