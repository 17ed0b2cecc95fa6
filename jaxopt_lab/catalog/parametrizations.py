"""The rows of layers with other parametrizations: features, hypernetworks, mixers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.parametrizations"
_ATTENTION = "jaxopt_lab.layers.attention"
_MIXER = "jaxopt_lab.layers.mixer"
_CLASSIFIER = "jaxopt_lab.layers.classifier"
_PREDICTION = "jaxopt_lab.layers.prediction"
_HYPERNETWORK = "jaxopt_lab.layers.hypernetwork"
_FEATURE_MAP = "jaxopt_lab.layers.feature_map"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="kernel_feed_forward",
        summary="trained matrix on constant random features of the input (SNNK)",
        build=f"{_FEATURE_MAP}.kernel_feed_forward:kernel_feed_forward",
        module=f"{_FEATURE_MAP}.modules:KernelFeedForward",
        reduces_to=Neutral(
            {"kernel": "linear", "radius": None, "seed": 0},
            f"{_FEATURE_MAP}.kernel_feed_forward:bundled_linear",
        ),
        options=("num_features", "kernel", "threshold", "radius", "seed", "layer"),
        topic="compression",
        example=f"{_EXAMPLES}:kernel_inputs",
        replaces=("linear",),
        residual_bytes="4",
        vectors="snnk",
        paper="Sehanobish et al. 2023",
        code="arijitthegame/neural-network-kernels",
        full="dear; its vectors are plain",
    ),
    Layer(
        name="kernel_adapter",
        summary="residual adapter on random features, the identity at the start",
        build=f"{_FEATURE_MAP}.kernel_adapter:kernel_adapter",
        module=f"{_FEATURE_MAP}.modules:KernelAdapter",
        reduces_to=Neutral(
            {"kernel": "linear", "radius": None, "seed": 0},
            f"{_FEATURE_MAP}.kernel_adapter:linear_adapter",
        ),
        options=(
            "size",
            "num_features",
            "kernel",
            "threshold",
            "radius",
            "seed",
            "layer",
        ),
        topic="compression",
        example=f"{_EXAMPLES}:adapter_inputs",
        replaces=("block",),
        residual_bytes="4 + size / 64",  # of 256 features
        vectors="snnk",
        paper="Sehanobish et al. 2023",
        code="arijitthegame/neural-network-kernels",
        full="the code of kernel_feed_forward before a product",
    ),
    Layer(
        name="hypernetwork",
        summary="predicted parameters whose magnitude is not that of the input (MIP)",
        build=f"{_HYPERNETWORK}.hypernetwork:hypernetwork",
        module=f"{_HYPERNETWORK}.modules:HyperNetwork",
        reduces_to=Neutral(
            {"hidden": (), "encoding": "none"},
            f"{_HYPERNETWORK}.hypernetwork:affine_prediction",
        ),
        options=("hidden", "encoding", "additive", "frozen"),
        example=f"{_EXAMPLES}:conditions",
        replaces=("block",),
        residual_bytes="16",
        vectors="mip_hypernet",
        paper="Gonzalez Ortiz et al. 2023",
        code="JJGO/hyperlight",
        full="dear; its vectors are plain",
    ),
    Layer(
        name="low_rank_decoder",
        summary="kernels of low rank from the states of a network's graph (LoGAH)",
        build=f"{_HYPERNETWORK}.low_rank_decoder:low_rank_decoder",
        module=f"{_HYPERNETWORK}.modules:LowRankDecoder",
        reduces_to=Neutral(
            {"shape": (3, 4), "rank": 1},
            f"{_HYPERNETWORK}.low_rank_decoder:outer_products",
        ),
        options=("shape", "rank", "max_width", "beta", "layout"),
        example=f"{_EXAMPLES}:node_states",
        replaces=("block",),
        residual_bytes="112",  # of 256 features
        paper="Zhou et al. 2024, arXiv:2405.16287",
        code="Blackzxy/LoGAH",
        full="a perceptron and a product; kernels in NumPy have plain tests",
    ),
    Layer(
        name="norm_aware_attention",
        summary="linear attention whose weights sharpen with the norm of the query",
        build=f"{_ATTENTION}.norm_aware_attention:norm_aware_attention",
        module=f"{_ATTENTION}.modules:NormAwareLinearAttention",
        reduces_to=Neutral(
            {
                "heads": 1,
                "rotary": False,
                "lepe_size": None,
                "gate": False,
                "power_scale": 0.0,
            },
            f"{_ATTENTION}.norm_aware_attention:sign_attention",
        ),
        options=(
            "heads",
            "rotary",
            "lepe_size",
            "gate",
            "power_scale",
            "power_shift",
            "key_power",
            "eps",
        ),
        example=f"{_EXAMPLES}:attended_images",
        replaces=("attention",),
        couples_positions=True,
        residual_bytes="133",
        paper="Meng et al. 2025",
        full="dear; its dense form is compared in the plain run",
    ),
    Layer(
        name="hydra_mixer",
        summary="both directions of a sequence mixed by one quasiseparable matrix",
        build=f"{_MIXER}.hydra_mixer:hydra_mixer",
        module=f"{_MIXER}.modules:HydraMixer",
        reduces_to=Neutral(
            {},
            f"{_MIXER}.hydra_mixer:dense_hydra",
            note="the dense form of the same matrix, at every setting",
        ),
        options=(
            "d_state",
            "expand",
            "head_dim",
            "conv_size",
            "chunk",
            "mixer",
            "length",
            "eps",
        ),
        example=f"{_EXAMPLES}:tokens",
        replaces=("attention",),
        couples_positions=True,
        residual_bytes="323",  # in chunks of 2 and heads of 4
        paper="Hwang et al. 2024",
        code="goombalab/hydra",
        full="dear; its dense form is compared in the plain run",
    ),
    Layer(
        name="causal_mixer",
        summary="earlier tokens mixed by a lower triangular quasiseparable matrix",
        build=f"{_MIXER}.causal_mixer:causal_mixer",
        module=f"{_MIXER}.modules:CausalMixer",
        reduces_to=Neutral(
            {},
            f"{_MIXER}.causal_mixer:dense_causal",
            note="the dense form of the same matrix, at every setting",
        ),
        options=("d_state", "expand", "head_dim", "conv_size", "chunk", "eps"),
        example=f"{_EXAMPLES}:tokens",
        replaces=("attention",),
        residual_bytes="221",  # in chunks of 2 and heads of 4
        paper="Hwang et al. 2024",
        code="goombalab/hydra",
        full="dear; its dense form is compared in the plain run",
    ),
    Layer(
        name="local_similarity_classifier",
        summary="logits by similarity to several learned proxies a class (PODNet)",
        build=f"{_CLASSIFIER}.local_similarity:local_similarity_classifier",
        module=f"{_CLASSIFIER}.modules:LocalSimilarityClassifier",
        reduces_to=Neutral(
            {"proxies": 1, "similarity": "cosine"},
            f"{_CLASSIFIER}.local_similarity:cosine_logits",
        ),
        options=("out", "proxies", "similarity", "gamma"),
        topic="continual learning",
        example="jaxopt_lab.catalog.examples.layers:three_classes",
        replaces=("linear",),
        # Input, direction and scales; and the proxies, a few numbers a position.
        residual_bytes="13.9",
        vectors="podnet",
        paper="Douillard et al. 2020, arXiv:2004.13513",
        code="arthurdouillard/incremental_learning.pytorch",
        full="dear; its growth is plain",
    ),
    Layer(
        name="synthetic_gradient",
        summary="the gradient with respect to activations, predicted from them",
        build=f"{_PREDICTION}.synthetic_gradient:synthetic_gradient",
        module=f"{_PREDICTION}.modules:SyntheticGradient",
        reduces_to=Neutral(
            {"hidden": 0}, f"{_PREDICTION}.synthetic_gradient:linear_prediction"
        ),
        options=("hidden", "out"),
        topic="decoupled training",
        example="jaxopt_lab.catalog.examples.layers:three_hidden",
        replaces=("linear",),
        # Input, hidden layer and its kernel.
        residual_bytes="4 + 5 * hidden / 256 + 4 * hidden / 192",
        paper="Jaderberg et al. 2017, arXiv:1608.05343",
        full="dear; its limits are plain",
    ),
    Layer(
        name="recurrent_hypernetwork",
        summary="predicted parameters, each chunk after the ones before (LSTM)",
        build=f"{_HYPERNETWORK}.recurrent:recurrent_hypernetwork",
        module=f"{_HYPERNETWORK}.modules:RecurrentHyperNetwork",
        reduces_to=Neutral(
            {"independent": True}, f"{_HYPERNETWORK}.recurrent:independent_chunks"
        ),
        options=("hidden", "chunk", "chunk_features", "independent"),
        topic="continual learning",
        example="jaxopt_lab.catalog.examples.layers:two_chunks",
        replaces=("block",),
        # Gates and states of each of 256 * 256 / chunk chunks.
        residual_bytes="4 * 13 * hidden * 256 / chunk",
        paper="Chandra et al. 2022",
        full="dear, a scan of many cells; chunks and growth are plain in its file",
    ),
)
