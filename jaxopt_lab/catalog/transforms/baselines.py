"""What a smaller state is compared with: optax's own, and baselines of the papers."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from jaxopt_lab.catalog.schema import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    Interval,
    Method,
    Option,
)
from jaxopt_lab.transforms.compressed.adam_mini import adam_mini
from jaxopt_lab.transforms.compressed.apollo import apollo
from jaxopt_lab.transforms.compressed.soap import soap

_COUNT = Interval(1.0)
_DECAY = Option(0.0, "decoupled decay, times the step size", NON_NEGATIVE)


def _rate(default: float) -> Option:
    return Option(default, "step size; a schedule may stand for it", NON_NEGATIVE)


def _adam(rate: float, b1: float, b2: float) -> Mapping[str, Option]:
    return {
        "learning_rate": _rate(rate),
        "b1": Option(b1, "decay of the mean of the gradients", DECAY),
        "b2": Option(b2, "decay of the mean of their squares", DECAY),
        "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
        "weight_decay": _DECAY,
    }


_ROOT = (
    "optax takes plain roots and norms, whose derivative at a zero gradient is infinite"
)
_ZEROS = dict.fromkeys(
    (
        "finite_at_zero_gradients",
        "finite_at_a_product",
        "finite_at_zero_parameters",
    ),
    _ROOT,
)
_MASKED = (
    "optax masks the leaves of each part, and ``optax.tree.map_params`` does not "
    "find them again"
)


def _sm3(
    learning_rate: float, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """``optax.sm3``, which fails on scalars; they are vectors of one here."""
    tx = optax.sm3(learning_rate, momentum)

    def update(updates, state, params=None, **extra):
        del params, extra
        moved, state = tx.update(jax.tree.map(jnp.atleast_1d, updates), state)
        return jax.tree.map(lambda u, g: u.reshape(g.shape), moved, updates), state

    return optax.GradientTransformationExtraArgs(
        lambda params: tx.init(jax.tree.map(jnp.atleast_1d, params)), update
    )


ROWS = (
    Method(
        name="galore",
        family="optax",
        kind="optimizer",
        summary="Adam in a subspace of each matrix, found anew every so often",
        factory=optax.contrib.galore,
        options={
            "learning_rate": _rate(1e-3),
            "weight_decay": _DECAY,
            "scale": Option(1.0, "factor of the direction", POSITIVE, static=True),
            "rank": Option(16, "dimension of the subspaces", _COUNT, static=True),
            "update_proj_gap": Option(
                200, "steps that a subspace is kept for", _COUNT, static=True
            ),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        # optax projects the larger side.
        state_bytes="4 * rank * (256 + 2 * 128) / (256 * 128)",
        state_text="4 rank (q + 2 p) / (p q), p <= q",
        temp_bytes="12",
        factor_state="projector|mu|nu",
        paper="Zhao et al. 2024, arXiv:2403.03507",
        # The subspaces are taken for constant.
        differentiable=False,
        known_failures={
            **_ZEROS,
            "sharded": "the projectors are whole on every device; they are shaped "
            "unlike any parameter",
            "state_types": "optax decomposes a gradient as it lies, and jax refuses a "
            "sharded one",
            "tree_shapes": "optax fails on a tree without leaves",
            "none_leaves": "optax asks a leaf that is None for its type",
        },
    ),
    Method(
        name="adafactor",
        family="optax",
        kind="optimizer",
        summary="second moments as products of those of rows and columns",
        factory=optax.adafactor,
        options={
            "learning_rate": _rate(1e-2),
            "decay_rate": Option(
                0.8, "power of the step that the past decays with", POSITIVE, True
            ),
            "clipping_threshold": Option(
                1.0, "largest root mean square of a direction", POSITIVE
            ),
            "min_dim_size_to_factor": Option(
                128, "shortest side of a matrix that is factored", _COUNT, static=True
            ),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        state_bytes="4 * (256 + 128) / (256 * 128)",
        state_text="4 (p + q) / (p q)",
        temp_bytes="8",
        whole_state="v_row|v_col",
        paper="Shazeer and Stern 2018, arXiv:1804.04235",
        known_failures={
            **_ZEROS,
            "donation": "optax never reads the placeholders of moments that it does "
            "not keep, so they are not taken",
        },
    ),
    Method(
        name="sm3",
        family="optax",
        kind="optimizer",
        summary="Adagrad with an accumulator for each row and each column",
        factory=_sm3,
        options={
            "learning_rate": _rate(0.1),
            "momentum": Option(0.9, "decay of the mean of the directions", DECAY),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        state_bytes="4 + 4 * (256 + 128) / (256 * 128)",
        state_text="4 + 4 (p + q) / (p q)",
        temp_bytes="8",
        paper="Anil et al. 2019, arXiv:1901.11150",
        known_failures={
            "map_params": "optax keeps a list of accumulators for each leaf, and "
            "``optax.tree.map_params`` takes it for another tree",
            "tree_shapes": "optax takes the maximum over an axis without entries",
        },
    ),
    Method(
        name="muon",
        family="optax",
        kind="optimizer",
        summary="momentum made orthogonal, by a Newton-Schulz iteration",
        factory=optax.contrib.muon,
        options={
            "learning_rate": _rate(2e-2),
            "beta": Option(0.95, "decay of the momentum", DECAY),
            "eps": Option(1e-8, "added to norms and roots", POSITIVE),
            "weight_decay": _DECAY,
            "adam_b1": Option(0.9, "of Adam, for what is no matrix", DECAY),
            "adam_b2": Option(0.999, "likewise", DECAY),
            "ns_steps": Option(5, "iterations", _COUNT, static=True),
            "nesterov": Option(True, "use Nesterov's form", static=True),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="29",
        paper="Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/",
        known_failures={
            **_ZEROS,
            "state_types": "the products of the iteration do not say where they lie "
            "when a matrix is sharded",
            "map_params": _MASKED,
            "tree_shapes": "optax divides by the size of a matrix without rows",
        },
    ),
    Method(
        name="apollo",
        family="compressed",
        kind="optimizer",
        summary="the gradient, scaled as Adam scales it in a random subspace",
        factory=apollo,
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
        factor_state="mu|nu|norm",
        paper="Zhu et al. 2024, arXiv:2412.05270",
        code="none: the paper's formulas",
    ),
    Method(
        name="adam_mini",
        family="compressed",
        kind="optimizer",
        summary="Adam with one second moment for each block of parameters",
        factory=adam_mini,
        options=_adam(1e-3, 0.9, 0.999),
        gradients=1,
        # Of a matrix of 256 x 128, a block for each output.
        state_bytes="4 + 4 / 256",
        state_text="4 + 4 / block",
        temp_bytes="4",
        paper="Zhang et al. 2024, arXiv:2406.16793",
        code="none: the paper's partition",
    ),
    Method(
        name="soap",
        family="compressed",
        kind="optimizer",
        summary="Adam in the eigenbases of Shampoo's factors",
        factory=soap,
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
