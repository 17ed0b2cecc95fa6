"""The rows of layers."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.schema import Layer, Neutral

_NORM = "jaxopt_lab.layers.norm"
_EXAMPLES = "jaxopt_lab.catalog.examples.layers"
_ACTIVATION = "jaxopt_lab.layers.activation"
_BLOCK = "jaxopt_lab.layers.block"
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
        name="layer_norm",
        summary="layer normalization, flax's",
        build=f"{_NORM}.plain_norms:layer_norm",
        module=f"{_NORM}.modules:LayerNorm",
        reduces_to=Neutral({}, "flax.nnx:LayerNorm", given={"epsilon": 1e-6}),
        options=("statistics", "eps"),
        example=f"{_EXAMPLES}:five_features",
        replaces=("norm",),
        residual_bytes="12",
        paper="Ba et al. 2016",
        code="google/flax",
    ),
    Layer(
        name="group_norm",
        summary="normalization of an example in groups of features, flax's",
        build=f"{_NORM}.plain_norms:group_norm",
        module=f"{_NORM}.modules:GroupNorm",
        reduces_to=Neutral(
            {"groups": 2}, "flax.nnx:GroupNorm", given={"num_groups": 2}
        ),
        options=("groups", "eps"),
        example=f"{_EXAMPLES}:groups",
        replaces=("norm",),
        couples_positions=True,
        residual_bytes="8",
        paper="Wu and He 2018",
        code="google/flax",
    ),
    Layer(
        name="instance_norm",
        summary="normalization of each feature of an example, flax's",
        build=f"{_NORM}.plain_norms:instance_norm",
        module=f"{_NORM}.modules:InstanceNorm",
        reduces_to=Neutral({}, "flax.nnx:InstanceNorm", given={"epsilon": 1e-6}),
        options=("eps",),
        example=f"{_EXAMPLES}:five_features",
        replaces=("norm",),
        couples_positions=True,
        residual_bytes="8",
        paper="Ulyanov et al. 2016",
        code="google/flax",
    ),
    Layer(
        name="td_layernorm",
        summary="layer normalization whose scale and bias move with a time",
        build=f"{_NORM}.td_layernorm:td_layernorm",
        module=f"{_NORM}.modules:TimeDependentLayerNorm",
        reduces_to=Neutral(
            {},
            f"{_NORM}.td_layernorm:without_time",
            note="where both values of scale and bias are the same, as at the start",
        ),
        options=("statistics", "eps"),
        example=f"{_EXAMPLES}:at_times",
        replaces=("block",),
        residual_bytes="8",
        vectors="td_layernorm",
        paper="Liu et al. 2024",
        code="qihao067/DiMR",
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
        options=("ghost_size", "momentum", "eps", "fast_variance"),
        example=f"{_EXAMPLES}:ghosts",
        replaces=("norm",),
        state="running",
        couples_examples=True,
        residual_bytes="12",
        vectors="ghost_bn",
        paper="Hoffer et al. 2017",
        code="eladhoffer/bigBatch",
    ),
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
    Layer(
        name="selu",
        summary="scaled exponential linear unit, by jax.nn",
        build=f"{_ACTIVATION}.selu:selu",
        module=f"{_ACTIVATION}.modules:Selu",
        reduces_to=Neutral({}, "jax.nn:selu"),
        example=f"{_EXAMPLES}:normalized",
        replaces=("activation",),
        residual_bytes="10",
        vectors="selu",
        paper="Klambauer et al. 2017",
        code="bioinf-jku/SNNs",
    ),
    Layer(
        name="alpha_dropout",
        summary="dropout that keeps mean and variance behind SELU",
        build=f"{_ACTIVATION}.alpha_dropout:alpha_dropout",
        module=f"{_ACTIVATION}.modules:AlphaDropout",
        reduces_to=Neutral({"rate": 0.0}, "jax.numpy:asarray", "the same values"),
        options=("rate",),
        example=f"{_EXAMPLES}:quarter_dropped",
        replaces=("dropout",),
        residual_bytes="5",
        vectors="selu",
        paper="Klambauer et al. 2017",
        code="bioinf-jku/SNNs",
        known_failures={
            "alone": "the units dropped of an example depend on its place in the batch",
            "divided_batch": "each device draws for itself",
        },
    ),
    Layer(
        name="transformer_block",
        summary="attention and perceptron; norms before or behind, Mix-LN's, or scaled",
        build=f"{_BLOCK}.transformer_block:transformer_block",
        module=f"{_BLOCK}.modules:TransformerBlock",
        reduces_to=Neutral(
            {
                "heads": 1,
                "placement": "pre",
                "scaled_index": 1,
                "residual": "1",
            },
            f"{_BLOCK}.transformer_block:plain_block",
        ),
        options=(
            "heads",
            "placement",
            "scaled_index",
            "residual",
            "depth",
            "causal",
            "eps",
        ),
        example=f"{_EXAMPLES}:sequences",
        replaces=("block",),
        residual_bytes="149",  # of 48 positions
        vectors="mix_ln",
        paper="Li et al. 2024, Sun et al. 2025",
        code="pixeli99/MixLN",
    ),
)
