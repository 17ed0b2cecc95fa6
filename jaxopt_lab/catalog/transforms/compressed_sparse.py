"""Optimizers whose state is a sparse window or a small subspace."""

from __future__ import annotations

from collections.abc import Mapping

from jaxopt_lab.catalog.schema import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    Interval,
    Method,
    Option,
)
from jaxopt_lab.transforms.compressed.ldadam import ldadam
from jaxopt_lab.transforms.compressed.microadam import microadam

_COUNT = Interval(1.0)
_UNIT = Interval(0.0, 1.0)
_FLOPS = {
    "flops": "the subspaces take about two hundred operations a parameter; the plain "
    "step of the battery's small network, over a thousand examples, has five thousand"
}


def _adam(b1: float, b2: float) -> Mapping[str, Option]:
    return {
        "learning_rate": Option(
            1e-3, "step size; a schedule may stand for it", NON_NEGATIVE
        ),
        "b1": Option(b1, "decay of the mean of the gradients", DECAY),
        "b2": Option(b2, "decay of the mean of their squares", DECAY),
        "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
        "weight_decay": Option(
            0.0, "decoupled decay, times the step size", NON_NEGATIVE
        ),
    }


ROWS = (
    Method(
        name="microadam",
        family="compressed",
        kind="optimizer",
        summary="Adam on a window of sparse gradients, with a 4-bit error",
        factory=microadam,
        options={
            **_adam(0.9, 0.999),
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
    Method(
        name="ldadam",
        family="compressed",
        kind="optimizer",
        summary="Adam in a subspace of each matrix that follows the gradients",
        factory=ldadam,
        options={
            **_adam(0.908, 0.99),
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
        factor_state="projector|mu|nu",
        paper="Robert et al. 2025, arXiv:2410.16103",
        code="IST-DASLab/LDAdam",
        needs=frozenset({"params"}),
        vectors="ldadam",
        known_failures={
            "schedules": "no matrix of the battery is large enough for a subspace of "
            "rank 16, so rho has no effect; tests/compressed run it with rank 1",
            **_FLOPS,
        },
    ),
)
