"""Training of a flow: velocities of straight paths between noise and data."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE_OR_INFINITE, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.flow_errors import Cost, gibbs_weights, squared_error
from jaxopt_lab.losses.targets import check_shape
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL = "model"


def init_flow_matching(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_flow_matching_step``.

    Args:
      tx: the transformation that trains the network.
      params: its initial parameters.
      key: typed PRNG key from which the steps draw.
      model_state: the network's own state; ``None``: it has none.

    Returns:
      A ``TrainState`` with the one role ``"model"``.

    >>> state = init_flow_matching(optax.sgd(0.1), jnp.zeros(2), jax.random.key(0))
    >>> sorted(state.params)
    ['model']
    """
    return in_role(MODEL, init_state(tx, params, key, model_state))


def make_flow_matching_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    epsilon: Annotated[Scalar, POSITIVE_OR_INFINITE] = float("inf"),
    cost: Cost = "distance",
    sigma: Annotated[Scalar, NON_NEGATIVE] = 0.0,
    inputs: str = "image",
    source: str = "",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` of conditional flow matching.

    With :math:`x_0` noise, :math:`x_1` data, t uniform in [0, 1) and
    :math:`x_t = (1 - t) x_0 + t x_1 + \sigma z`, the network goes down

    .. math::
        \frac1B \sum_i w_i |v(x_t, t) - (x_1 - x_0)|^2, \qquad
        w_i = e^{-c_i / \epsilon} \Big/ \frac1B \sum_j e^{-c_j / \epsilon},

    the squares summed over the features. ``recipes.integrate_flow`` samples from it.

    Args:
      network: its ``apply`` takes ``(x_t, t)``, t of shape ``(B,)``, and gives the
        velocity, of the shape of :math:`x_t`.
      tx: transformation of its gradients.
      epsilon: :math:`\epsilon`, in units of the cost, of the weights that prefer near
        pairs (W-CFM); infinite: conditional flow matching. The mean cost is a first
        guess; the smaller it is, the fewer pairs count and the more the weighted data
        differ from the data.
      cost: c, ``"distance"`` :math:`|x_1 - x_0|` or ``"half_squared"``.
      sigma: :math:`\sigma`, standard deviation of noise around the path.
      inputs: entry of the batch with the data; integers are divided by 255.
      source: entry with :math:`x_0`; empty: it is standard normal.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_flow_matching``. Metrics: ``loss``, and
      ``effective_share``, :math:`(\sum w)^2 / (B \sum w^2)`, the share of pairs that
      would count as much without weights.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing or a shape
        differs.

    Gradient evaluations: those of ``make_train_step``. The pairs of the whole batch are
    drawn and weighted at once, so that micro-batches give the same numbers.

    Source: Lipman et al., "Flow Matching for Generative Modeling", arXiv:2210.02747;
    Tong et al., arXiv:2302.00482; the weights: "Weighted Conditional Flow Matching",
    from the formula.

    >>> def apply(params, state, inputs, *, train, key=None):
    ...     x, t = inputs
    ...     return x * params + t[:, None], state
    >>> network = Functional(lambda key: (jnp.zeros(2), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_flow_matching(tx, jnp.zeros((1, 2)), jax.random.key(0))
    >>> step = jax.jit(make_flow_matching_step(network, tx))
    >>> state, metrics = step(state, {"image": jnp.ones((4, 2))})
    >>> float(metrics["effective_share"])
    1.0
    """
    check_arguments(make_flow_matching_step, locals())

    def loss_fn(
        params: Params, states: Any, batch: Any, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        given = batch["x"], batch["t"]
        velocity, kept = network.apply(
            params, states[MODEL], given, train=True, key=key
        )
        check_shape("the velocity", velocity, batch["x"].shape)
        errors = squared_error(velocity, displacement=batch["displacement"])
        weights = batch["weight"].astype(errors.dtype)
        return jnp.mean(weights * errors), ({**states, MODEL: kept}, {})

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_flow_matching")
        key, own = jax.random.split(state.key)
        axis_name = options.get("axis_name")
        if axis_name is not None:
            own = jax.random.fold_in(own, jax.lax.axis_index(axis_name))
        data = to_float(jnp.asarray(entries(batch, inputs)[0]))
        refuse_empty(repr(inputs), data)
        start = entries(batch, source)[0] if source else None
        pairs = draw_pairs(own, data, start, sigma)
        weights = gibbs_weights(
            pairs["displacement"], epsilon=epsilon, cost=cost, axis_name=axis_name
        )
        square = jnp.mean(weights**2)
        if axis_name is not None:
            square = jax.lax.pmean(square, axis_name)
        before = state._replace(key=key)
        given = {**pairs, "weight": weights}
        after, metrics = train_role(MODEL, loss_fn, tx, before, given, **options)
        return after, {**metrics, "effective_share": 1 / square}

    return step


def draw_pairs(
    key: jax.Array, data: jax.Array, source: Any, sigma: Scalar
) -> dict[str, jax.Array]:
    """Pairs of noise and data, and a point on the path of each.

    Args:
      key: typed PRNG key.
      data: ``(B, ...)``, floating.
      source: of the same shape; ``None``: it is drawn.
      sigma: standard deviation of noise around the path.

    Returns:
      ``"x"``, ``"t"`` and ``"displacement"``.

    Raises:
      InputError: the source has another shape.

    >>> found = draw_pairs(jax.random.key(0), jnp.ones((2, 3)), jnp.zeros((2, 3)), 0.0)
    >>> found["displacement"].tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    keys = jax.random.split(key, 3)
    if source is None:
        source = jax.random.normal(keys[0], data.shape, data.dtype)
    check_shape("the source", source, data.shape)
    source = jnp.asarray(source, data.dtype)
    t = jax.random.uniform(keys[1], data.shape[:1], data.dtype)
    share = t.reshape(-1, *(1 for _ in data.shape[1:]))
    around = jax.random.normal(keys[2], data.shape, data.dtype)
    x = (1 - share) * source + share * data + jnp.asarray(sigma, data.dtype) * around
    return {"x": x, "t": t, "displacement": data - source}
