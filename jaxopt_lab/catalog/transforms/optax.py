"""The rows of other libraries' methods: optax's, which ours are compared with."""

from __future__ import annotations

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    Option,
)

_STILL = Neutral({"learning_rate": 0.0}, "optax:set_to_zero")
_B1 = Option(0.9, "decay of the mean of the gradients", DECAY)
_B2 = Option(0.999, "decay of the mean of their squares", DECAY)
_EPS = Option(1e-8, "added to the root of the second moment", POSITIVE)


def _rate(default: float) -> Option:
    return Option(default, "step size; a schedule may stand for it", NON_NEGATIVE)


def _weight_decay(default: float) -> Option:
    return Option(default, "decoupled decay, times the step size", NON_NEGATIVE)


_ROOT = (
    "optax takes plain roots and norms, whose derivative at a zero gradient is infinite"
)
_ZEROS: dict[str, str] = dict.fromkeys(
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


ROWS = (
    Transform(
        name="sgd",
        family="first order",
        origin="optax",
        role="optimizer",
        summary="stochastic gradient descent",
        build="optax:sgd",
        reduces_to=_STILL,
        options={"learning_rate": _rate(0.1)},
        gradients=1,
        state_bytes="0",
        temp_bytes="0",
        elementwise=True,
        paper="Robbins and Monro 1951",
    ),
    Transform(
        name="momentum",
        family="first order",
        origin="optax",
        role="optimizer",
        summary="gradient descent with heavy-ball (or Nesterov) momentum",
        build="optax:sgd",
        reduces_to=Neutral({"momentum": 0.0}, "sgd"),
        options={
            "learning_rate": _rate(0.05),
            "momentum": Option(0.9, "decay of the trace of gradients", DECAY),
            "nesterov": Option(False, "use Nesterov's form", static=True),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="0",
        elementwise=True,
        paper="Polyak 1964; Sutskever et al. 2013",
        full="optax's own",
    ),
    Transform(
        name="adam",
        family="first order",
        origin="optax",
        role="optimizer",
        summary="adaptive moments",
        build="optax:adam",
        reduces_to=Neutral(
            {"b1": 0.0, "b2": 0.9},
            "optax:rmsprop",
            "RMSprop with a corrected bias",
            {"decay": 0.9, "bias_correction": True, "eps_in_sqrt": False},
        ),
        options={"learning_rate": _rate(1e-3), "b1": _B1, "b2": _B2, "eps": _EPS},
        gradients=1,
        state_bytes="8",
        temp_bytes="0",
        elementwise=True,
        paper="Kingma and Ba 2015, arXiv:1412.6980",
        known_failures=_ZEROS,
        full="optax's own",
    ),
    Transform(
        name="adamw",
        family="first order",
        origin="optax",
        role="optimizer",
        summary="adaptive moments with decoupled weight decay",
        build="optax:adamw",
        reduces_to=Neutral({"weight_decay": 0.0}, "adam"),
        options={
            "learning_rate": _rate(1e-3),
            "b1": _B1,
            "b2": _B2,
            "eps": _EPS,
            "weight_decay": _weight_decay(1e-4),
        },
        gradients=1,
        state_bytes="8",
        temp_bytes="0",
        tpu_temp_bytes="0.1",
        elementwise=True,
        paper="Loshchilov and Hutter 2019, arXiv:1711.05101",
        known_failures=_ZEROS,
        full="optax's own",
    ),
    Transform(
        name="lamb",
        family="large batch",
        origin="optax",
        role="optimizer",
        summary="Adam with a trust ratio for each tensor, for large batches",
        build="optax:lamb",
        reduces_to=_STILL,
        options={
            "learning_rate": _rate(1e-2),
            "b1": _B1,
            "b2": _B2,
            "eps": Option(1e-6, _EPS.help, POSITIVE),
            "weight_decay": _weight_decay(0.0),
        },
        gradients=1,
        state_bytes="8",
        temp_bytes="8",
        paper="You et al. 2020, arXiv:1904.00962",
        known_failures=_ZEROS,
        full="optax's own",
    ),
    Transform(
        name="lion",
        family="first order",
        origin="optax",
        role="optimizer",
        summary="sign of an interpolated momentum",
        build="optax:lion",
        reduces_to=Neutral({"b1": 0.0, "weight_decay": 0.0}, "optax:sign_sgd"),
        options={
            "learning_rate": _rate(3e-4),
            "b1": _B1,
            "b2": Option(0.99, "decay of the momentum", DECAY),
            "weight_decay": _weight_decay(1e-3),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="4",
        elementwise=True,
        paper="Chen et al. 2023, arXiv:2302.06675",
        differentiable=False,
        full="optax's own",
    ),
    Transform(
        name="galore",
        family="memory saving",
        origin="optax",
        role="optimizer",
        # A singular value decomposition of each gradient, in the program of every step;
        # optax takes no other projector. Three matrices of 4096 x 4096 took the
        # compiler for a TPU 104 s; `ldadam` and `apollo` only multiply.
        summary="Adam in a subspace of each matrix, found anew every so often",
        build="optax.contrib:galore",
        reduces_to=_STILL,
        options={
            "learning_rate": _rate(1e-3),
            "weight_decay": _weight_decay(0.0),
            "scale": Option(1.0, "factor of the direction", POSITIVE, static=True),
            "rank": Option(16, "dimension of the subspaces", COUNT, static=True),
            "update_proj_gap": Option(
                200, "steps that a subspace is kept for", COUNT, static=True
            ),
        },
        gradients=1,
        # Of a matrix of 256 x 128.
        # optax projects the larger side.
        state_bytes="4 * rank * (256 + 2 * 128) / (256 * 128)",
        state_text="4 rank (q + 2 p) / (p q), p <= q",
        temp_bytes="12",
        factored_state="projector|mu|nu",
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
        full="optax's own",
    ),
    Transform(
        name="adafactor",
        family="memory saving",
        origin="optax",
        role="optimizer",
        summary="second moments as products of those of rows and columns",
        build="optax:adafactor",
        reduces_to=_STILL,
        options={
            "learning_rate": _rate(1e-2),
            "decay_rate": Option(
                0.8, "power of the step that the past decays with", POSITIVE, True
            ),
            "clipping_threshold": Option(
                1.0, "largest root mean square of a direction", POSITIVE
            ),
            "min_dim_size_to_factor": Option(
                128, "shortest side of a matrix that is factored", COUNT, static=True
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
        full="optax's own",
    ),
    Transform(
        name="sm3",
        family="memory saving",
        origin="optax",
        role="optimizer",
        summary="Adagrad with an accumulator for each row and each column",
        build="jaxopt_lab.catalog.adapters:sm3",
        reduces_to=_STILL,
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
        full="optax's own",
    ),
    Transform(
        name="add_noise",
        family="noise",
        origin="optax",
        role="link",
        summary="gradients with normal noise of a variance that decays",
        build="jaxopt_lab.catalog.adapters:add_noise",
        reduces_to=Neutral({"eta": 0.0}, "optax:identity"),
        options={
            "eta": Option(0.01, "variance of the first noise", NON_NEGATIVE),
            "gamma": Option(0.55, "power of the step that divides it", NON_NEGATIVE),
        },
        gradients=1,
        state_bytes="0",
        temp_bytes="14",
        vectors="gradient_noise",
        paper="Neelakantan et al. 2015, arXiv:1511.06807",
        known_failures={
            "float32": "the numbers drawn in float32 are others than those in float64"
        },
        full="optax's own",
    ),
    Transform(
        name="muon",
        family="orthogonal",
        origin="optax",
        role="optimizer",
        summary="momentum made orthogonal, by a Newton-Schulz iteration",
        build="optax.contrib:muon",
        reduces_to=_STILL,
        options={
            "learning_rate": _rate(2e-2),
            "beta": Option(0.95, "decay of the momentum", DECAY),
            "eps": Option(1e-8, "added to norms and roots", POSITIVE),
            "weight_decay": _weight_decay(0.0),
            "adam_b1": Option(0.9, "of Adam, for what is no matrix", DECAY),
            "adam_b2": Option(0.999, "likewise", DECAY),
            "ns_steps": Option(5, "iterations", COUNT, static=True),
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
        full="optax's own",
    ),
)
