"""The rows of layers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_NORM = "jaxopt_lab.layers.norm"
_EXAMPLES = "jaxopt_lab.catalog.examples.layers"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="layernorm_scaling",
        summary="layer normalization divided by the root of its block's index",
        build=f"{_NORM}.layernorm_scaling:layernorm_scaling",
        module=f"{_NORM}.modules:LayerNormScaling",
        reduces_to=Neutral(
            {"index": 1, "eps": 1e-6}, "flax.nnx:LayerNorm", given={"epsilon": 1e-6}
        ),
        options=("index", "statistics", "eps"),
        example=f"{_EXAMPLES}:third_block",
        replaces=("norm",),
        residual_bytes="8",
        vectors="layernorm_scaling",
        paper="Sun et al. 2025",
        code="lmsdss/LayerNorm-Scaling",
    ),
    Layer(
        name="ghost_batch_norm",
        summary="batch normalization of consecutive parts of the batch",
        build=f"{_NORM}.ghost_batch_norm:ghost_batch_norm",
        module=f"{_NORM}.modules:GhostBatchNorm",
        reduces_to=Neutral(
            {"ghost_size": 128},
            "flax.nnx:BatchNorm",
            note="outputs; the stored variance is that of ddof 1, flax's of ddof 0",
        ),
        options=("ghost_size", "momentum", "eps"),
        example=f"{_EXAMPLES}:ghosts",
        replaces=("norm",),
        state="running",
        couples_examples=True,
        residual_bytes="12",
        vectors="ghost_bn",
        paper="Hoffer et al. 2017",
        code="eladhoffer/bigBatch",
    ),
)
