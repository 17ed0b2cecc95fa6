"""The rows of activations, blocks and layers on manifolds."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.layers"
_ACTIVATION = "jaxopt_lab.layers.activation"
_BLOCK = "jaxopt_lab.layers.block"
_GEOMETRY = "jaxopt_lab.layers.geometry"

ROWS: tuple[Layer, ...] = (
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
        name="nested_dropout",
        summary="the first features of a batch, as many as are drawn",
        build=f"{_ACTIVATION}.nested_dropout:nested_dropout",
        module=f"{_ACTIVATION}.modules:NestedDropout",
        reduces_to=Neutral({"scale": 0.0}, "jax.numpy:asarray", "the same values"),
        topic="wrong labels",
        options=("scale", "mean", "keep"),
        example=f"{_EXAMPLES}:half_nested",
        replaces=("dropout",),
        residual_bytes="5",
        paper="Rippel et al. 2014, Chen et al. 2021",
        code="yingyichen-cyy/Nested-Co-teaching",
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
        full="dear; its norms and sums have tests of their own",
    ),
    Layer(
        name="batch_former",
        summary="attention of the examples of a batch to one another, in training",
        build=f"{_BLOCK}.batch_former:batch_former",
        module=f"{_BLOCK}.modules:BatchFormer",
        reduces_to=Neutral(
            {"heads": 1, "dropout": 0.0}, f"{_BLOCK}.batch_former:plain_batch_former"
        ),
        topic="long tails",
        options=("heads", "dropout", "eps"),
        example=f"{_EXAMPLES}:batch_of_sequences",
        replaces=(),
        couples_examples="at a position",
        residual_bytes="50",  # of a batch of 4
        vectors="batchformer",
        paper="Hou, Yu and Tao 2022, arXiv:2203.01522",
        code="zhihou7/BatchFormer",
        full="dear; a case of its vectors is plain",
    ),
    Layer(
        name="spd_batch_norm",
        summary="batch normalization of positive definite matrices",
        build=f"{_GEOMETRY}.spd_batch_norm:spd_batch_norm",
        module=f"{_GEOMETRY}.modules:SPDBatchNorm",
        reduces_to=Neutral({"power": 1.0}, f"{_GEOMETRY}.spd_batch_norm:plain_bures"),
        options=("power", "momentum", "eps"),
        example=f"{_EXAMPLES}:covariances",
        replaces=("block",),
        state="running",
        couples_examples=True,
        couples_positions=True,
        matrices=True,
        residual_bytes="123",
        vectors="spd_bn",
        paper="Wang et al. 2025",
        code="jjscc/GBWBN",
        known_failures={
            "derivatives": "barycentre and variance have no gradient, as in the paper",
        },
        full="dear, many eigenvalue problems; a case of its vectors is plain",
    ),
    Layer(
        name="poincare_batch_norm",
        summary="batch normalization in the Poincare ball, by its midpoint",
        build=f"{_GEOMETRY}.poincare_batch_norm:poincare_batch_norm",
        module=f"{_GEOMETRY}.modules:PoincareBatchNorm",
        reduces_to=Neutral(
            {"momentum": 0.0, "curvature": 0.5},
            f"{_GEOMETRY}.poincare_batch_norm:plain_poincare",
        ),
        options=("curvature", "momentum", "eps"),
        example=f"{_EXAMPLES}:tangents",
        replaces=("norm",),
        state="running",
        couples_examples=True,
        couples_positions=True,
        residual_bytes="4",
        vectors="poincare_bn",
        paper="van Spengler et al. 2023",
        code="maxvanspengler/poincare-resnet",
        known_failures={
            "large_mean": "long tangents are cut at a margin, which float32 has wider",
        },
        full="dear; its vectors and the maps of the ball are plain",
    ),
)
