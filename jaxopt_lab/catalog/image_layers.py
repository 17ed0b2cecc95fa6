"""The rows of layers of networks that restore images."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_ROOM = "jaxopt_lab.layers"
_EXAMPLES = "jaxopt_lab.catalog.examples.images"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="blind_spot_conv",
        summary="convolution whose kernel lacks its middle (C-BSN)",
        build=f"{_ROOM}.conv.blind_spot_conv:blind_spot_conv",
        module=f"{_ROOM}.conv.modules:BlindSpotConv",
        reduces_to=Neutral(
            {"blind": False},
            "flax.nnx:Conv",
            given={"out_features": 2, "kernel_size": (3, 3)},
        ),
        topic="restoration",
        options=("size", "blind"),
        example="jaxopt_lab.catalog.examples.layers:small_images",
        replaces=("conv",),
        couples_positions=True,
        residual_bytes="4",
        paper="Jang et al. 2023, arXiv:2304.09507",
        code="jyicu/CBSN",
        full="the convolution of ws_conv; its derivatives are plain",
    ),
    Layer(
        name="detail_enhanced_conv",
        summary="convolution with a plain kernel and four of differences (DEConv)",
        build=f"{_ROOM}.conv.detail_enhanced_conv:detail_enhanced_conv",
        module=f"{_ROOM}.conv.modules:DetailEnhancedConv",
        reduces_to=Neutral(
            {"differences": False},
            "flax.nnx:Conv",
            given={"out_features": 2, "kernel_size": (3, 3)},
        ),
        topic="restoration",
        options=("differences", "theta"),
        example="jaxopt_lab.catalog.examples.layers:small_images",
        replaces=("conv",),
        couples_positions=True,
        residual_bytes="4",
        paper="Chen, He and Lu 2023, arXiv:2301.04805",
        code="cecret3350/DEA-Net",
        full="the convolution of ws_conv; its loops are plain",
    ),
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
