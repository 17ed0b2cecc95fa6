"""The rows of layers of networks that restore images."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_ROOM = "jaxopt_lab.layers"
_ATTENTION = "jaxopt_lab.layers.attention"
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
        name="content_guided_attention",
        summary="weights of each channel and position of images, made from them (CGA)",
        build=f"{_ATTENTION}.content_guided_attention:content_guided_attention",
        module=f"{_ATTENTION}.modules:ContentGuidedAttention",
        reduces_to=Neutral(
            {"refine": False},
            f"{_ATTENTION}.content_guided_attention:coarse_attention",
        ),
        topic="restoration",
        options=("reduction", "refine"),
        example=f"{_EXAMPLES}:attended_images",
        replaces=(),
        couples_positions=True,
        residual_bytes="26",
        paper="Chen, He and Lu 2023, arXiv:2301.04805",
        code="cecret3350/DEA-Net",
        full="dear; tested against NumPy in its file",
    ),
    Layer(
        name="content_guided_fusion",
        summary="features of an encoder and a decoder, mixed by attention (CGA)",
        build=f"{_ATTENTION}.content_guided_fusion:content_guided_fusion",
        module=f"{_ATTENTION}.modules:ContentGuidedFusion",
        reduces_to=Neutral(
            {"attend": False}, f"{_ATTENTION}.content_guided_fusion:equal_fusion"
        ),
        topic="restoration",
        options=("reduction", "attend", "double_sigmoid"),
        example=f"{_EXAMPLES}:fused_images",
        replaces=(),
        couples_positions=True,
        residual_bytes="19",
        paper="Chen, He and Lu 2023, arXiv:2301.04805",
        code="cecret3350/DEA-Net",
        full="dear; tested against NumPy in its file",
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
