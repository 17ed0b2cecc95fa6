"""The rows of layers of detectors: pyramids of features, attention of two sets."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.detection"
_CONV = "jaxopt_lab.layers.conv"
_NORM = "jaxopt_lab.layers.norm"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="integrated_batch_norm",
        summary="one batch normalization of all levels of a pyramid (SEPC)",
        build=f"{_NORM}.integrated_batch_norm:integrated_batch_norm",
        module=f"{_NORM}.modules:IntegratedBatchNorm",
        reduces_to=Neutral(
            {},
            f"{_NORM}.integrated_batch_norm:joint_batch_norm",
            note="flax's batch normalization of the pixels of all levels",
        ),
        topic="detection",
        options=("momentum", "eps"),
        example=f"{_EXAMPLES}:pyramid",
        replaces=(),
        state="running",
        couples_examples=True,
        residual_bytes="8",
        paper="Wang et al. 2020, arXiv:2005.03101",
        code="jshilong/SEPC",
        full="ghost_batch_norm of joined levels; NumPy and padding are plain",
    ),
    Layer(
        name="pyramid_conv",
        summary="convolution of each level of a pyramid with its neighbours (SEPC)",
        build=f"{_CONV}.pyramid_conv:pyramid_conv",
        module=f"{_CONV}.modules:PyramidConv",
        reduces_to=Neutral({"neighbours": False}, f"{_CONV}.pyramid_conv:shared_head"),
        topic="detection",
        options=("out", "neighbours"),
        example=f"{_EXAMPLES}:pyramid",
        replaces=(),
        couples_positions=True,
        residual_bytes="4",
        paper="Wang et al. 2020, arXiv:2005.03101",
        code="jshilong/SEPC",
        full="dear, many convolutions; NumPy and masks are plain",
    ),
    Layer(
        name="two_way_attention",
        summary="queries and a memory that attend to each other (MutDet)",
        build="jaxopt_lab.layers.attention.two_way_attention:two_way_attention",
        module="jaxopt_lab.layers.attention.modules:TwoWayAttention",
        reduces_to=Neutral(
            {"heads": 1, "depth": 1},
            "jaxopt_lab.layers.attention.two_way_attention:plain_two_way",
        ),
        topic="detection",
        options=("depth", "heads", "hidden", "norm", "eps"),
        example=f"{_EXAMPLES}:two_sets",
        replaces=(),
        couples_positions=True,
        residual_bytes="100",
        paper="Huang et al. 2024, arXiv:2407.09920",
        code="floatingstarZ/MutDet",
        full="dear; NumPy, permutations and masks are plain",
    ),
)
