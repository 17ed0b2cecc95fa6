"""The rows of optimizers whose state is smaller than two moments.

``scale_by_temp_balance`` has no row: its factors come from exponents that are put into
its state outside of jit, so by itself it changes nothing, and it stands last;
``tests/transforms/test_temp_balance.py`` runs the battery on it with exponents preset.

``quantize_state`` has no row: its arguments are codecs, which no command line spells,
and its state is smaller than that of the optimizer inside, so bytes beyond the inner
ones would be negative. The rows of ``adamw8bit`` and its siblings run the same code.
"""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform

_FLOPS = {
    "flops": "finding the codes of two moments takes about a hundred operations a "
    "parameter; the plain step of the battery's small network, over a thousand "
    "examples, has five thousand"
}
_LDADAM_FLOPS = {
    "flops": "the subspaces take about two hundred operations a parameter; the plain "
    "step of the battery's small network, over a thousand examples, has five thousand"
}
_ADAM = ("learning_rate", "b1", "b2", "eps", "weight_decay")
_SMALL = Neutral({"min_size": 10**9}, "optax:adamw", "no tensor has as many elements")


def _nowhere(params: Any) -> Any:
    import jax

    return jax.tree.map(lambda _: False, params)


def _row(name: str, *options: str, rate: float = 1e-3, **facts: Any) -> Transform:
    return Transform(
        name=name,
        family="compressed",
        role="optimizer",
        build=f"jaxopt_lab.transforms.compressed:{name}",
        options=(*_ADAM, *options),
        overrides={"learning_rate": rate},
        gradients=1,
        **facts,
    )


def _adamw(name: str, *options: str, **facts: Any) -> Transform:
    """A row of AdamW with its moments as codes."""
    return _row(
        name,
        *options,
        "min_size",
        "stochastic",
        reduces_to=_SMALL,
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
        "block",
        tpu_temp_bytes="0.1",
        summary="AdamW with its moments in 8 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="2 + 8 / block",
        paper="Dettmers et al. 2022, arXiv:2110.02861",
        code="bitsandbytes, torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        "adamw4bit",
        "block",
        tpu_temp_bytes="0.1",
        summary="AdamW with its moments in 4 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="1 + 8 / block",
        paper="Li, Chen and Zhu 2023, arXiv:2309.01507",
        code="torchao",
        vectors="adam_lowbit",
        full="the kernel of adamw8bit with another codec",
    ),
    _adamw(
        "adamw_fp8",
        "block",
        "dtype",
        tpu_temp_bytes="0.1",
        summary="AdamW with its moments as 8-bit floats, block by block",
        state_bytes="2 + 8 / block",
        paper="after Dettmers et al. 2022, arXiv:2110.02861",
        code="torchao",
        vectors="adam_lowbit",
        full="the kernel of adamw8bit with another codec",
    ),
    _adamw(
        "adamw_linear",
        "block",
        "bits",
        "symmetric",
        "second_moment",
        summary="AdamW with its first moment in equal steps, row by row",
        # A step for each row, here of 128 elements.
        state_bytes="4 + bits / 8 + 4 / 128",
        tpu_temp_bytes="1.4",
        paper="Chitsaz et al. 2024, arXiv:2407.11722",
        code="chandar-lab/EfficientLLMs",
        vectors="adam_linear_quant",
        full="the kernel of adamw8bit with another codec",
    ),
    # At 148 leaves twelve times as long to compile for a CPU as AdamW: every leaf has
    # two searches and three scatters, each a kernel by itself.
    _row(
        "microadam",
        "densify",
        "window",
        "density",
        "block_size",
        "quant_block",
        "window_bias_correction",
        summary="Adam on a window of sparse gradients, with a 4-bit error",
        reduces_to=Neutral(
            {"density": 1.0, "window": 100},
            "optax:adamw",
            "while the window holds every step",
        ),
        state_bytes="0.5 + 4 / quant_block + 4 * window * density",
        # Of tensors of less than two chunks; 4.2, the updates, of larger ones.
        temp_bytes="18",
        tpu_temp_bytes="0.2",
        paper="Modoranu et al. 2024, arXiv:2405.15593",
        code="IST-DASLab/ISTA-DASLab-Optimizers",
        needs=frozenset({"params"}),
        vectors="microadam",
        known_failures={
            "sharded": "the tensors of the battery are one block each, and the 16 "
            "bytes of codes of one of them cannot be cut among eight devices"
        },
        full="a dear row; tests of its kernel, vectors and derivatives are plain",
    ),
    _row(
        "ldadam",
        "rho",
        "rank",
        "error",
        "projector",
        "start",
        "side",
        "factorization",
        # A gradient is read for the subspace and then for the step; the compiler lets
        # some of them wait: one of three matrices, three of six (2.1 bytes). Barriers
        # that order the leaves change nothing.
        tpu_temp_bytes="1.5",
        # A decay, as b1.
        ranges={"rho": None},
        summary="Adam in a subspace of each matrix that follows the gradients",
        reduces_to=Neutral(
            {"rank": 10**6}, "optax:adamw", "smaller matrices are not projected"
        ),
        # Of a matrix of 256 x 128.
        state_bytes=(
            "4 * rank * (128 + 2 * 256) / (256 * 128) + "
            "{'float32': 4, 'bfloat16': 2, '4-bit': 0.5 + 4 / 64, 'none': 0}[error]"
        ),
        state_text="4 rank (p + 2 q) / (p q), p <= q, and 4, 2, 0.56 or 0 by error",
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
    _row(
        "apollo",
        "scale",
        "growth",
        "rank",
        "gap",
        "granularity",
        tpu_temp_bytes="0.1",
        summary="the gradient, scaled as Adam scales it in a random subspace",
        reduces_to=Neutral(
            {"low_rank": _nowhere}, "optax:adamw", "no tensor is projected"
        ),
        # Of a matrix with a smaller side of 128.
        state_bytes="8 * rank / 128",
        state_text="8 rank / p, p <= q",
        temp_bytes="8",
        factored_state="mu|nu|norm",
        paper="Zhu et al. 2024, arXiv:2412.05270",
        code="none: the paper's formulas",
    ),
    _row(
        "adam_mini",
        # One matrix at a time: the mean square of its gradient comes first. Of three
        # here, of six 0.8.
        tpu_temp_bytes="1.4",
        summary="Adam with one second moment for each block of parameters",
        reduces_to=Neutral(
            {"partition": lambda name, leaf: "element"},
            "optax:adamw",
            "a block for each element",
        ),
        # Of a matrix of 256 x 128, a block for each output.
        state_bytes="4 + 4 / 256",
        state_text="4 + 4 / block",
        temp_bytes="4",
        paper="Zhang et al. 2024, arXiv:2406.16793",
        code="none: the paper's partition",
    ),
    _row(
        "soap",
        "precondition_frequency",
        "max_precondition_dim",
        rate=3e-3,
        summary="Adam in the eigenbases of Shampoo's factors",
        reduces_to=Neutral(
            {"max_precondition_dim": 1}, "optax:adamw", "no side has a basis"
        ),
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
    # Rounded gradients.
    Transform(
        name="quantize_updates",
        family="quantize",
        role="link",
        build="jaxopt_lab.quantize:quantize_updates",
        options=("bits", "stochastic", "min_size"),
        gradients=1,
        summary="gradients rounded to a grid, by outputs",
        reduces_to=Neutral(
            {"min_size": 10**9}, "optax:identity", "no tensor has as many elements"
        ),
        state_bytes="0",
        temp_bytes="16",
        tpu_temp_bytes="1.5",
        paper="Chitsaz et al. 2024, arXiv:2407.11722",
        code="chandar-lab/EfficientLLMs",
        vectors="linear_quant",
        # A rounding has no derivative; what there is of it is finite.
        differentiable=False,
    ),
)
