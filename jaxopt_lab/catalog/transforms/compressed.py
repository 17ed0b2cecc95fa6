"""The rows of optimizers whose state is smaller than two moments.

``scale_by_temp_balance`` has no row: its factors come from exponents that are put into
its state outside of jit, so by itself it changes nothing, and it stands last;
``tests/transforms/test_temp_balance.py`` runs the battery on it with exponents preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, POSITIVE, Interval, Option

_COUNT = Interval(1.0)
_FLOPS = {
    "flops": "finding the codes of two moments takes about a hundred operations a "
    "parameter; the plain step of the battery's small network, over a thousand "
    "examples, has five thousand"
}
_ADAMW: Mapping[str, Option] = {
    "learning_rate": Option(
        1e-3, "step size; a schedule may stand for it", NON_NEGATIVE
    ),
    "b1": Option(0.9, "decay of the mean of the gradients", DECAY),
    "b2": Option(0.999, "decay of the mean of their squares", DECAY),
    "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
    "weight_decay": Option(1e-4, "decoupled decay, times the step size", NON_NEGATIVE),
}
_MIN_SIZE = Option(
    4096, "elements from which on a tensor's moments are coded", _COUNT, static=True
)
_ADAMW_IF_SMALL = Neutral(
    {"min_size": 10**9}, "optax:adamw", "no tensor has as many elements"
)
_STOCHASTIC = Option(False, "round without bias, by a key", static=True)


_UNIT = Interval(0.0, 1.0)
_LDADAM_FLOPS = {
    "flops": "the subspaces take about two hundred operations a parameter; the plain "
    "step of the battery's small network, over a thousand examples, has five thousand"
}


def _adam(rate: float, b1: float, b2: float) -> dict[str, Option]:
    return {
        "learning_rate": Option(
            rate, "step size; a schedule may stand for it", NON_NEGATIVE
        ),
        "b1": Option(b1, "decay of the mean of the gradients", DECAY),
        "b2": Option(b2, "decay of the mean of their squares", DECAY),
        "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
        "weight_decay": Option(
            0.0, "decoupled decay, times the step size", NON_NEGATIVE
        ),
    }


def _nowhere(params: Any) -> Any:
    import jax

    return jax.tree.map(lambda _: False, params)


def _block(default: int) -> Option:
    return Option(default, "elements that share a scale", _COUNT, static=True)


def _adamw(name: str, options: dict[str, Option], **facts: Any) -> Transform:
    """A row of AdamW with its moments as codes."""
    return Transform(
        name=name,
        family="compressed",
        role="optimizer",
        build=f"jaxopt_lab.transforms.compressed:{name}",
        options={**_ADAMW, **options, "min_size": _MIN_SIZE, "stochastic": _STOCHASTIC},
        reduces_to=_ADAMW_IF_SMALL,
        gradients=1,
        # Of tensors of less than two chunks; 4.2, the updates, of larger ones.
        temp_bytes="16",
        needs=frozenset({"params"}),
        # Codes pass no derivative on; what there is of it is finite.
        differentiable=False,
        **facts,
    )


ROWS = (
    _adamw(
        "adamw8bit",
        {"block": _block(256)},
        summary="AdamW with its moments in 8 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="2 + 8 / block",
        paper="Dettmers et al. 2022, arXiv:2110.02861",
        code="bitsandbytes, torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        "adamw4bit",
        {"block": _block(128)},
        summary="AdamW with its moments in 4 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="1 + 8 / block",
        paper="Li, Chen and Zhu 2023, arXiv:2309.01507",
        code="torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        "adamw_fp8",
        {
            "block": _block(256),
            "dtype": Option(
                "float8_e4m3fn",
                "which 8-bit float",
                ("float8_e4m3fn", "float8_e5m2"),
                static=True,
            ),
        },
        summary="AdamW with its moments as 8-bit floats, block by block",
        state_bytes="2 + 8 / block",
        paper="after Dettmers et al. 2022, arXiv:2110.02861",
        code="torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        "adamw_linear",
        {
            "block": Option(
                "row",
                "what shares a step: the last axis or the whole tensor",
                ("row", "tensor"),
                static=True,
            ),
            "bits": Option(
                8, "bits of the first moment: 4 or 8", Interval(4.0, 8.0), static=True
            ),
            "symmetric": Option(True, "codes around zero", static=True),
            "second_moment": Option(
                "float32",
                "what the second moment is stored as",
                ("float32", "dynamic", "linear"),
                static=True,
            ),
        },
        summary="AdamW with its first moment in equal steps, row by row",
        # A step for each row, here of 128 elements.
        state_bytes="4 + bits / 8 + 4 / 128",
        paper="Chitsaz et al. 2024, arXiv:2407.11722",
        code="chandar-lab/EfficientLLMs",
        vectors="adam_linear_quant",
    ),
    Transform(
        name="microadam",
        family="compressed",
        role="optimizer",
        summary="Adam on a window of sparse gradients, with a 4-bit error",
        build="jaxopt_lab.transforms.compressed:microadam",
        reduces_to=Neutral(
            {"density": 1.0, "window": 100},
            "optax:adamw",
            "while the window holds every step",
        ),
        options={
            **_adam(1e-3, 0.9, 0.999),
            "densify": Option(0.0, "share of the error added to the update", _UNIT),
            "window": Option(
                10, "steps that the moments come from", _COUNT, static=True
            ),
            "density": Option(
                0.01,
                "share of every block that enters the window",
                Interval(0.0, 1.0, open_low=True),
                static=True,
            ),
            "block_size": Option(
                4096, "elements in a block", Interval(1.0, 32767.0), static=True
            ),
            "quant_block": Option(
                64, "elements that share a range of the error", _COUNT, static=True
            ),
            "window_bias_correction": Option(
                False, "correct the bias of what the window holds", static=True
            ),
        },
        gradients=1,
        state_bytes="0.5 + 4 / quant_block + 4 * window * density",
        # Of tensors of less than two chunks; 4.2, the updates, of larger ones.
        temp_bytes="17",
        paper="Modoranu et al. 2024, arXiv:2405.15593",
        code="IST-DASLab/ISTA-DASLab-Optimizers",
        needs=frozenset({"params"}),
        vectors="microadam",
        known_failures={
            "sharded": "the tensors of the battery are one block each, and the 16 "
            "bytes of codes of one of them cannot be cut among eight devices"
        },
    ),
    Transform(
        name="ldadam",
        family="compressed",
        role="optimizer",
        summary="Adam in a subspace of each matrix that follows the gradients",
        build="jaxopt_lab.transforms.compressed:ldadam",
        reduces_to=Neutral(
            {"rank": 10**6}, "optax:adamw", "smaller matrices are not projected"
        ),
        options={
            **_adam(1e-3, 0.908, 0.99),
            "rho": Option(0.908, "weight of the past in the subspace", _UNIT),
            "rank": Option(16, "dimension of the subspaces", _COUNT, static=True),
            "error": Option(
                "float32",
                "how the error is kept",
                ("float32", "bfloat16", "4-bit", "none"),
                static=True,
            ),
            "projector": Option(
                "std",
                "one power iteration a step, or a singular value decomposition",
                ("std", "svd"),
                static=True,
            ),
            "start": Option(
                "power",
                "how the first subspace is found",
                ("power", "svd"),
                static=True,
            ),
            "side": Option(
                "smaller",
                "which side of a matrix is projected",
                ("smaller", "left", "right"),
                static=True,
            ),
            "factorization": Option(
                "qr", "how a basis is made orthonormal", ("qr", "cholesky"), static=True
            ),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        state_bytes=(
            "4 * rank * (128 + 2 * 256) / (256 * 128) + "
            "{'float32': 4, 'bfloat16': 2, '4-bit': 0.5 + 4 / 64, 'none': 0}[error]"
        ),
        # On the battery's 64 x 256 and 256 x 32, which are taken whole.
        temp_bytes="{'float32': 11, 'bfloat16': 11, '4-bit': 14, 'none': 5.5}[error]",
        factored_state="projector|mu|nu",
        paper="Robert et al. 2025, arXiv:2410.16103",
        code="IST-DASLab/LDAdam",
        needs=frozenset({"params"}),
        vectors="ldadam",
        known_failures={
            "schedules": "no matrix of the battery is large enough for a subspace of "
            "rank 16, so rho has no effect; tests/compressed run it with rank 1",
            **_LDADAM_FLOPS,
        },
    ),
    Transform(
        name="apollo",
        family="compressed",
        role="optimizer",
        summary="the gradient, scaled as Adam scales it in a random subspace",
        build="jaxopt_lab.transforms.compressed:apollo",
        reduces_to=Neutral(
            {"low_rank": _nowhere}, "optax:adamw", "no tensor is projected"
        ),
        options={
            **_adam(1e-3, 0.9, 0.999),
            "scale": Option(1.0, "factor of the direction", POSITIVE),
            "growth": Option(
                1.01, "how much longer than the last a direction may be", POSITIVE
            ),
            "rank": Option(16, "rows of the projections", _COUNT, static=True),
            "gap": Option(
                200, "steps that a projection is kept for", _COUNT, static=True
            ),
            "granularity": Option(
                "channel",
                "what has a factor; with rank 1 and scale 11.3, tensor is APOLLO-Mini",
                ("channel", "tensor"),
                static=True,
            ),
        },
        gradients=1,
        # Of a matrix with a smaller side of 128.
        state_bytes="8 * rank / 128",
        state_text="8 rank / p, p <= q",
        temp_bytes="8",
        factored_state="mu|nu|norm",
        paper="Zhu et al. 2024, arXiv:2412.05270",
        code="none: the paper's formulas",
    ),
    Transform(
        name="adam_mini",
        family="compressed",
        role="optimizer",
        summary="Adam with one second moment for each block of parameters",
        build="jaxopt_lab.transforms.compressed:adam_mini",
        reduces_to=Neutral(
            {"partition": lambda name, leaf: "element"},
            "optax:adamw",
            "a block for each element",
        ),
        options=_adam(1e-3, 0.9, 0.999),
        gradients=1,
        # Of a matrix of 256 x 128, a block for each output.
        state_bytes="4 + 4 / 256",
        state_text="4 + 4 / block",
        temp_bytes="4",
        paper="Zhang et al. 2024, arXiv:2406.16793",
        code="none: the paper's partition",
    ),
    Transform(
        name="soap",
        family="compressed",
        role="optimizer",
        summary="Adam in the eigenbases of Shampoo's factors",
        build="jaxopt_lab.transforms.compressed:soap",
        reduces_to=Neutral(
            {"max_precondition_dim": 1}, "optax:adamw", "no side has a basis"
        ),
        options={
            **_adam(3e-3, 0.95, 0.95),
            "precondition_frequency": Option(
                10, "steps between two refreshes of the bases", _COUNT, static=True
            ),
            "max_precondition_dim": Option(
                10000, "longest side that has a basis", _COUNT, static=True
            ),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        state_bytes="8 + 8 * (256 / 128 + 128 / 256)",
        state_text="8 + 8 (p / q + q / p)",
        temp_bytes="60",
        # Moments are rotated by all of both bases, and decomposed factors are whole.
        whole_state=".",
        paper="Vyas et al. 2024, arXiv:2409.11321",
        code="nikhilvyas/SOAP",
        # The bases are taken for constant.
        differentiable=False,
        known_failures={
            "sharded": "the factors and bases, of 8 x 8 and 4 x 4 for a matrix of 8 x "
            "4, are whole on every device; they are shaped unlike any parameter",
            "flops": "the bases of a matrix of 256 x 64 take two thousand operations a "
            "parameter; the plain step of the battery's small network, over a thousand "
            "examples, has five thousand",
        },
    ),
)
