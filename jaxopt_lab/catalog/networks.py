"""The rows of small networks: sines, bottlenecks, learned activations, multigrid."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.networks"
_ACTIVATION = "jaxopt_lab.layers.activation"
_BLOCK = "jaxopt_lab.layers.block"
_KAN = "jaxopt_lab.layers.kan"
_OPERATOR = "jaxopt_lab.layers.operator"
_CYCLE = (
    "levels",
    "pre",
    "post",
    "coarsest",
    "boundary",
    "grid",
    "correction",
    "share",
    "zeros",
)
_SINE = "jaxopt_lab.layers.sine"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="siren",
        summary="network of sines on coordinates, an implicit representation",
        build=f"{_SINE}.siren:siren",
        module=f"{_SINE}.modules:Siren",
        reduces_to=Neutral({"depth": 0}, f"{_SINE}.siren:affine"),
        options=("hidden", "depth", "out", "omega_first", "omega"),
        topic="implicit representations",
        example=f"{_EXAMPLES}:coordinates",
        replaces=("block",),
        residual_bytes="4 + 2 * depth * hidden / 64",  # of 256 coordinates
        paper="Sitzmann et al. 2020, arXiv:2006.09661",
        full="its formula and its gradient have plain tests",
    ),
    Layer(
        name="hourglass",
        summary="residual blocks with wide skips and narrow bottlenecks",
        build=f"{_BLOCK}.hourglass:hourglass",
        module=f"{_BLOCK}.modules:Hourglass",
        reduces_to=Neutral(
            {
                "skip": 5,
                "lift": "identity",
                "activation": "gelu",
                "norm": "layer",
            },
            f"{_BLOCK}.hourglass:conventional",
        ),
        options=(
            "skip",
            "bottleneck",
            "out",
            "depth",
            "lift",
            "activation",
            "norm",
            "zero",
            "eps",
            "seed",
            "layer",
        ),
        example=f"{_EXAMPLES}:narrow",
        replaces=("block",),
        residual_bytes="1",  # of 256 features; no constant lift keeps the input
        paper="Chen et al. 2025, arXiv:2510.01796, from the abstract",
        full="its formula and its properties have plain tests",
    ),
    Layer(
        name="selectable_kan",
        summary="learned functions on all edges, of spaces that are chosen (S-KAN)",
        build=f"{_KAN}.selectable_kan:selectable_kan",
        module=f"{_KAN}.modules:SelectableKAN",
        reduces_to=Neutral(
            {"spaces": ("chebyshev",)}, f"{_KAN}.selectable_kan:plain_kan"
        ),
        options=("out", "spaces", "granularity", "temperature"),
        example=f"{_EXAMPLES}:edges",
        replaces=("linear",),
        residual_bytes="108",  # of three spaces, 14 functions
        paper="S-KAN, from the abstract",
        full="dear; sums over edges have plain tests",
    ),
    Layer(
        name="selectable_kan_conv",
        summary="convolution with functions of chosen spaces for weights (S-ConvKAN)",
        build=f"{_KAN}.selectable_kan_conv:selectable_kan_conv",
        module=f"{_KAN}.modules:SelectableKANConv",
        reduces_to=Neutral(
            {"spaces": ("chebyshev",), "size": 3, "stride": 1, "padding": None},
            f"{_KAN}.selectable_kan_conv:plain_kan_conv",
        ),
        options=(
            "out",
            "size",
            "stride",
            "padding",
            "spaces",
            "granularity",
            "temperature",
        ),
        example=f"{_EXAMPLES}:patches",
        replaces=("conv",),
        couples_positions=True,
        residual_bytes="272",  # of two spaces on patches of 2 by 2
        paper="S-ConvKAN, from the abstract",
        full="selectable_kan on patches",
    ),
    Layer(
        name="multigrid_conv",
        summary="linear map of functions on a grid by a learned multigrid cycle",
        build=f"{_OPERATOR}.multigrid:multigrid_conv",
        module=f"{_OPERATOR}.modules:MgConv",
        reduces_to=Neutral(
            {"levels": 1, "coarsest": 1, "boundary": "dirichlet"},
            f"{_OPERATOR}.multigrid:one_smoothing",
        ),
        topic="operators",
        options=("out", *_CYCLE),
        example=f"{_EXAMPLES}:functions",
        replaces=("conv",),
        couples_positions=True,
        residual_bytes="15.4",  # of two grids
        paper="He et al. 2023, arXiv:2310.19809",
        code="xlliu2017/MgNO",
        full="dear, many convolutions; cycles in NumPy have plain tests",
    ),
    Layer(
        name="mgno",
        summary="neural operator of multigrid cycles and point-wise maps (MgNO)",
        build=f"{_OPERATOR}.mgno:mgno",
        module=f"{_OPERATOR}.modules:MgNO",
        reduces_to=Neutral({"depth": 0}, f"{_OPERATOR}.mgno:pointwise"),
        topic="operators",
        options=("out", "width", "depth", *_CYCLE),
        example=f"{_EXAMPLES}:one_layer",
        replaces=(),
        couples_positions=True,
        residual_bytes="13.9",  # of three channels, two grids
        paper="He et al. 2023, arXiv:2310.19809",
        code="xlliu2017/MgNO",
        full="cycles of multigrid_conv and point-wise maps",
    ),
    Layer(
        name="hilbert_activation",
        summary="polynomial whose wide and deep network votes by a singular kernel",
        build=f"{_ACTIVATION}.hilbert:hilbert_activation",
        module=f"{_ACTIVATION}.modules:HilbertActivation",
        reduces_to=Neutral({"dimension": 2}, f"{_ACTIVATION}.hilbert:third_degree"),
        options=("dimension",),
        example=f"{_EXAMPLES}:on_a_sphere",
        replaces=("activation",),
        residual_bytes="8",
        paper="Radhakrishnan, Belkin and Uhler 2022, arXiv:2204.14126",
        full="an elementwise polynomial; its dual has plain tests",
    ),
)
