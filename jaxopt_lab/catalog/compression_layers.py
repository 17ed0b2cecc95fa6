"""The rows of layers with few, shared or constant weights."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.layers"
_COMPRESSION = "jaxopt_lab.layers.compression"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="codebook_bottleneck",
        summary="normalized activations replaced by the nearest vectors of a table",
        build=f"{_COMPRESSION}.codebook_bottleneck:codebook_bottleneck",
        module=f"{_COMPRESSION}.modules:CodebookBottleneck",
        reduces_to=Neutral(
            {"size": 1, "num_codes": 1, "groups": 1, "affine": False},
            f"{_COMPRESSION}.codebook_bottleneck:only_code",
        ),
        options=(
            "size",
            "num_codes",
            "groups",
            "similarity",
            "loss",
            "beta",
            "affine",
            "eps",
        ),
        topic="compression",
        example=f"{_EXAMPLES}:among_codes",
        replaces=("block",),
        gradient="own",
        residual_bytes="14",
        vectors="codebook",
        paper="Tamkin et al. 2023",
        code="taufeeque9/codebook-features",
        full="dear; its recorded snaps are plain",
    ),
    Layer(
        name="residual_vector_quantizer",
        summary="sums of codes, each of what the tables before left (residual VQ)",
        build=f"{_COMPRESSION}.residual_vector_quantizer:residual_vector_quantizer",
        module=f"{_COMPRESSION}.modules:ResidualVectorQuantizer",
        reduces_to=Neutral(
            {"size": 1, "groups": 1},
            f"{_COMPRESSION}.residual_vector_quantizer:only_codes",
        ),
        options=("stages", "size", "groups", "commitment", "through_codes"),
        topic="compression",
        example=f"{_EXAMPLES}:of_two_stages",
        replaces=(),
        state="running",
        gradient="own",
        residual_bytes="8 * stages * groups / 256",  # codes, of 256 features
        paper="Yang et al. 2023, arXiv:2305.02765",
        full="dear, a loop of tables; loops in NumPy are plain",
    ),
    Layer(
        name="ordered_low_rank",
        summary="product of two factors, under ordered dropout of their rank (Maestro)",
        build=f"{_COMPRESSION}.ordered_low_rank:ordered_low_rank",
        module=f"{_COMPRESSION}.modules:OrderedLowRank",
        reduces_to=Neutral(
            {"share": 0.0}, f"{_COMPRESSION}.ordered_low_rank:full_product"
        ),
        options=("rank", "share"),
        topic="compression",
        example=f"{_EXAMPLES}:five_features",
        replaces=("linear",),
        # Input and components; and the factors, of 256 x 256 beside 192 positions.
        residual_bytes="8 + 2 * 4 * 256 / 192",
        paper="Horvath et al. 2024, arXiv:2308.14929",
        code="SamuelHorvath/Maestro-LoD",
        full="dear; its ranks and draws are tested in its file",
    ),
    Layer(
        name="sparse_ternary",
        summary="product with a constant sparse matrix of -1, 0 and 1 from a seed",
        build=f"{_COMPRESSION}.sparse_ternary:sparse_ternary",
        module=f"{_COMPRESSION}.modules:SparseTernary",
        reduces_to=Neutral(
            {"density": 1.0},
            f"{_COMPRESSION}.sparse_ternary:random_signs",
            note="with seed 0",
        ),
        options=("seed", "layer", "density", "balanced", "scale"),
        topic="compression",
        example=f"{_EXAMPLES}:five_features",
        replaces=("linear",),
        residual_bytes="0",
        paper="Compressing 1D time-channel separable convolutions 2021",
    ),
    Layer(
        name="mixture_of_experts",
        summary="each position passes through the most probable of several networks",
        build=f"{_COMPRESSION}.mixture_of_experts:mixture_of_experts",
        module=f"{_COMPRESSION}.modules:MixtureOfExperts",
        reduces_to=Neutral(
            {"experts": 1, "top": 1},
            f"{_COMPRESSION}.mixture_of_experts:one_expert",
        ),
        options=("experts", "hidden", "top"),
        topic="compression",
        example=f"{_EXAMPLES}:four_experts",
        replaces=("block",),
        residual_bytes="5",  # of 256 features; 12 hidden units hardly count
        paper="Fedus et al. 2021",
        full="dear; a loop over positions is plain",
    ),
)
