"""OSUDA: a trained model adapted without its data, by its normalizations."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.perturbation import magnitude
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.recipes.adapting_norms import AdaptingNorms
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, SOURCE = "model", "source"
_EPS = 1e-5


def init_osuda(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    model_state: ModelState,
) -> TrainState:
    """A fresh state of ``make_osuda_step``.

    Args:
      tx: the transformation that adapts the model.
      params: those of the trained model.
      key: typed PRNG key.
      model_state: of the trained model, with the statistics of its normalizations.

    Returns:
      A ``TrainState`` with the one role ``"model"``; its model state has the entries
      ``"model"`` and ``"source"``, the scales, biases and statistics at the start.

    Raises:
      InputError: the model has no batch normalization.

    >>> norm = {"scale": jnp.ones(2), "bias": jnp.zeros(2)}
    >>> stats = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    >>> state = init_osuda(optax.sgd(0.1), {"a": norm}, jax.random.key(0), {"a": stats})
    >>> sorted(state.model_state["source"])
    ['a']
    """
    source = source_of(params, model_state)
    state = init_state(tx, params, key, model_state)
    return in_role(MODEL, state, {SOURCE: source})


def source_of(params: Params, model_state: ModelState) -> dict[str, Any]:
    """Scales, biases and statistics of every batch normalization, by its path.

    Args:
      params: nested dicts.
      model_state: nested dicts; a normalization has ``"mean"`` and ``"var"``.

    Returns:
      ``"scale"``, ``"bias"``, ``"mean"`` and ``"var"`` by the path, joined by slashes.

    Raises:
      InputError: there is no normalization, or one has no scale and bias.

    >>> norm = {"scale": jnp.ones(2), "bias": jnp.zeros(2)}
    >>> stats = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    >>> list(source_of({"a": {"b": norm}}, {"a": {"b": stats}}))
    ['a/b']
    """
    found = dict(_norms(params, model_state, ()))
    if not found:
        raise InputError("the model has no batch normalization to adapt")
    return found


def _norms(params: Any, state: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not isinstance(state, dict):
        return
    if {"mean", "var"} <= set(state) and not isinstance(state["mean"], dict):
        name = "/".join(path)
        if not isinstance(params, dict) or not {"scale", "bias"} <= set(params):
            raise InputError(f"the normalization {name!r} has no scale and bias")
        yield (
            name,
            {
                "scale": params["scale"],
                "bias": params["bias"],
                "mean": state["mean"],
                "var": state["var"],
            },
        )
        return
    for name, inner in state.items():
        below = params.get(name) if isinstance(params, dict) else None
        yield from _norms(below, inner, (*path, name))


def transferability(source: Any, target: Any) -> jax.Array:
    r"""Weights of channels, larger where both domains have like statistics; mean 1.

    .. math:: \alpha_k = \frac{C \, (1 + d_k)^{-1}}{\sum_j (1 + d_j)^{-1}}, \quad
        d_k = \left| \frac{\mu_k}{\sqrt{\sigma_k^2 + \epsilon}} -
        \frac{\mu'_k}{\sqrt{\sigma_k'^2 + \epsilon}} \right|

    Args:
      source: ``"mean"`` and ``"var"``, ``(C,)`` each.
      target: likewise.

    Returns:
      ``(C,)``, float32 or float64, no gradient flows into it.

    >>> same = {"mean": jnp.ones(2), "var": jnp.ones(2)}
    >>> transferability(same, same).tolist()
    [1.0, 1.0]
    """
    wide = accumulation_dtype(source["mean"].dtype)

    def ratio(of: Any) -> jax.Array:
        mean, var = (of[name].astype(wide) for name in ("mean", "var"))
        return mean * jax.lax.rsqrt(var + jnp.asarray(_EPS, wide))

    near = 1 / (1 + jnp.abs(ratio(source) - ratio(target)))
    return jax.lax.stop_gradient(near / jnp.mean(near))


def make_osuda_step(
    norms: Callable[[jax.Array], AdaptingNorms],
    tx: optax.GradientTransformation,
    *,
    start: Annotated[Scalar, UNIT] = 1.0,
    decay: Annotated[Scalar, NON_NEGATIVE] = 0.01,
    consistency: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    entropy: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    inputs: str = "image",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` on a target without labels.

    In step t the normalizations take the mixture of the statistics of the source and
    of the batch with the weight

    .. math:: \eta_t = \eta_0 e^{-\delta t}

    of the source, constants to the gradient, and the parameters go down

    .. math::
        \lambda_e \, E \Big[ -\sum_c p_c \log p_c \Big] + \frac{\lambda_c}{L}
        \sum_l \frac{1}{C_l} \sum_k (1 + \alpha_{lk}) \left( |\gamma_{lk} -
        \gamma^0_{lk}| + |\beta_{lk} - \beta^0_{lk}| \right)

    with the class probabilities p, the scales and biases :math:`\gamma, \beta` of L
    normalizations, those :math:`\gamma^0, \beta^0` of the source, and
    ``transferability`` :math:`\alpha` of their channels: where the domains have the
    same statistics, what the source has learned is held the more. The derivative of
    the distance is 0 at the source itself, where every run begins.

    Args:
      norms: the trained model with ``alpha_bn`` of a weight of the batch, which may be
        traced: ``lambda alpha: adapting_norms(build, functools.partial(alpha_bn,
        alpha=alpha))``. Outputs are logits, classes last.
      tx: transformation of the gradients of all parameters; a mask of it can hold the
        others than those of the normalizations.
      start: :math:`\eta_0`; 1: the first step has the statistics of the source.
      decay: :math:`\delta`; 0: the weights stay.
      consistency: :math:`\lambda_c`.
      entropy: :math:`\lambda_e`.
      inputs: entry of the batch that the model takes; integers are divided by 255.
      **options: those of ``make_train_step``, but micro-batches: the statistics are
        those of the whole batch.

    Returns:
      The step, for states of ``init_osuda``. The model's own state becomes the mixture,
      with which the trained model in evaluation goes on. Metrics: ``loss``, and without
      their weights ``entropy`` and ``consistency``.

    Raises:
      InputError: an option is out of range, or micro-batches are asked for; when
        traced, an entry is missing or the state is of another kind.

    Gradient evaluations: those of ``make_train_step``.

    From memory and the abstract, which names the decay, the weights of the channels and
    the two terms; no official code was found: the constants, means where there may be
    sums, and the mixture with the source at every step are ours.

    >>> from jaxopt_lab.layers import alpha_bn
    >>> def norms(alpha):
    ...     layer = alpha_bn(2, alpha=alpha)
    ...     apply = lambda p, s, x: layer.apply(p, s, x, train=True)
    ...     return AdaptingNorms(None, apply, None)
    >>> params, source = alpha_bn(2).init()
    >>> tx = optax.sgd(0.1)
    >>> state = init_osuda(tx, params, jax.random.key(0), source)
    >>> step = jax.jit(make_osuda_step(norms, tx, start=0.5))
    >>> state, metrics = step(state, {"image": jnp.array([[1.0, 0.0], [3.0, 0.0]])})
    >>> state.model_state["model"]["mean"].tolist(), float(metrics["consistency"])
    ([1.0, 0.0], 0.0)

    Source: Liu et al., "Adapting Off-the-Shelf Source Segmenter for Target Medical
    Image Segmentation", MICCAI 2021 (https://arxiv.org/abs/2106.12497).
    """
    check_arguments(make_osuda_step, locals())
    if options.get("micro_batches", 1) != 1:
        raise InputError(
            "make_osuda_step takes no micro_batches: the statistics are those of the "
            f"whole batch; got {options['micro_batches']}"
        )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_osuda")
        states: Any = state.model_state
        if not isinstance(states, dict) or SOURCE not in states:
            raise InputError("the state has no source; make it with init_osuda")
        entries(batch, inputs)
        count = state.step

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            source = states[SOURCE]
            x = to_float(jnp.asarray(batch[inputs]))
            wide = accumulation_dtype(x.dtype)
            passed = jnp.asarray(decay, wide) * jnp.asarray(count).astype(wide)
            alpha = 1 - jnp.asarray(start, wide) * jnp.exp(-passed)
            at_source = with_statistics(states[MODEL], source)
            logits, kept = norms(alpha).apply(params, at_source, x)
            p = jax.nn.log_softmax(logits.astype(wide), axis=-1)
            told = {
                "entropy": -jnp.mean(jnp.sum(jnp.exp(p) * p, axis=-1)),
                "consistency": _distance(source, source_of(params, kept), wide),
            }
            weights = {"entropy": entropy, "consistency": consistency}
            loss = jnp.zeros((), wide)
            for name, weight in weights.items():
                loss = loss + jnp.asarray(weight, wide) * told[name]
            return loss, ({**states, MODEL: kept}, told)

        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step


def with_statistics(model_state: ModelState, source: Any) -> Any:
    """A model state with the statistics of the source.

    Args:
      model_state: nested dicts.
      source: of ``source_of``.

    Returns:
      The state; what else it has stays.

    >>> source = {"a": {"mean": 1.0, "var": 2.0, "scale": 3.0, "bias": 4.0}}
    >>> with_statistics({"a": {"mean": 0.0, "var": 0.0}, "count": 5}, source)
    {'a': {'mean': 1.0, 'var': 2.0}, 'count': 5}
    """

    def one(state: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(state, dict):
            return state
        own = source.get("/".join(path))
        if own is not None:
            return {**state, "mean": own["mean"], "var": own["var"]}
        return {name: one(inner, (*path, name)) for name, inner in state.items()}

    return one(model_state, ())


def _distance(source: Any, target: Any, wide: Any) -> jax.Array:
    """The weighted distance of scales and biases from those of the source."""
    terms = []
    for name, own in source.items():
        weights = 1 + transferability(own, target[name]).astype(wide)
        for key in ("scale", "bias"):
            # Every run begins at the source, where the derivative must be 0.
            apart = magnitude(target[name][key].astype(wide) - own[key].astype(wide))
            terms.append(jnp.mean(weights * apart))
    return jnp.sum(jnp.stack(terms)) / len(source)
