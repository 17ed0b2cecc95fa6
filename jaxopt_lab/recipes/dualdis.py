"""DualDis: classes and attributes in two branches, each blind to the other's labels."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.recipes.attribute_heads import Orthogonality
from jaxopt_lab.recipes.attribute_heads import orthogonality as not_orthogonal
from jaxopt_lab.recipes.dual_losses import (
    attribute_loss,
    check_outputs,
    class_loss,
    guesses,
    mean_entropy,
    with_shares,
)
from jaxopt_lab.recipes.roles import check_roles, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

NETWORK, ADVERSARIES = "network", "adversaries"


def init_dualdis(
    tx: optax.GradientTransformation,
    network: Params,
    adversaries: Params,
    key: jax.Array,
    *,
    adversary_tx: optax.GradientTransformation | None = None,
    network_state: ModelState | None = None,
    adversary_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_dualdis_step``.

    Args:
      tx: the transformation that trains the network.
      network: its initial parameters.
      adversaries: those of the adversaries.
      key: typed PRNG key from which the steps draw.
      adversary_tx: the transformation that trains the adversaries; ``None``: ``tx``.
      network_state: the network's own state; ``None``: it has none.
      adversary_state: that of the adversaries.

    Returns:
      A ``TrainState`` with the roles ``"network"`` and ``"adversaries"``.

    >>> state = init_dualdis(optax.sgd(0.1), {}, {}, jax.random.key(0))
    >>> sorted(state.params)
    ['adversaries', 'network']
    """
    own = init_state(tx, network, key, network_state)
    other_tx = tx if adversary_tx is None else adversary_tx
    other = init_state(other_tx, adversaries, key, adversary_state)
    both = lambda name: {
        NETWORK: getattr(own, name),
        ADVERSARIES: getattr(other, name),
    }
    return own._replace(
        params=both("params"),
        model_state=both("model_state"),
        opt_state=both("opt_state"),
    )


def make_dualdis_step(
    network: Functional,
    adversaries: Functional,
    tx: optax.GradientTransformation,
    *,
    adversary_tx: optax.GradientTransformation | None = None,
    reconstruction: Annotated[Scalar, NON_NEGATIVE] = 0.3,
    attributes: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    class_adversary: Annotated[Scalar, NON_NEGATIVE] = 0.1,
    attribute_adversary: Annotated[Scalar, NON_NEGATIVE] = 0.1,
    orthogonality: Annotated[Scalar, NON_NEGATIVE] = 1e-6,
    orthogonality_kind: Orthogonality = "squared",
    push: Literal["negative", "entropy"] = "negative",
    inputs: str = "image",
    label: str = "label",
    attribute_label: str = "attributes",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` that alternates two updates.

    With features :math:`h_y, h_z` of the two branches, linear heads, and adversaries
    :math:`C_y, C_z`, the network first goes down

    .. math::
        \lambda_r \mathrm{MSE} + \mathrm{CE}(y, W_y h_y)
        + \lambda_z \mathrm{BCE}(z, W_z h_z) - \alpha_y \mathrm{CE}(y, C_y(h_z))
        + \alpha_z \mathrm{BCE}(1 - z, C_z(h_y)) + \lambda_o \mathrm{orth},

    the adversaries held constant and in evaluation mode; then they go down

    .. math:: \mathrm{CE}(y, C_y(h_z)) + \mathrm{BCE}(z, C_z(h_y))

    on constant features of the updated network. Labels below 0, of a class or of a
    single attribute, are none: the terms are means over those that are known.

    Args:
      network: its ``apply`` gives ``DualOutputs``.
      adversaries: their ``apply`` takes ``(h_y, h_z)`` and gives the class logits
        :math:`C_y(h_z)` and the attribute logits :math:`C_z(h_y)`.
      tx: transformation of the network's gradients.
      adversary_tx: of the adversaries' gradients; ``None``: ``tx``.
      reconstruction: :math:`\lambda_r`.
      attributes: :math:`\lambda_z`.
      class_adversary: :math:`\alpha_y`. The Python number 0 here and for
        ``attribute_adversary`` leaves the adversaries out: they are not trained.
      attribute_adversary: :math:`\alpha_z`.
      orthogonality: :math:`\lambda_o`.
      orthogonality_kind: as ``kind`` of ``attribute_heads.orthogonality``.
      push: the part of :math:`\alpha_y`: the negative cross-entropy, which has no
        lower bound, or the negative entropy of :math:`C_y(h_z)` over all examples.
      inputs: entry of the batch that the network takes; integers are divided by 255.
      label: entry of the integer classes, ``(B,)``.
      attribute_label: entry of the attributes, ``(B, K)``, 0 to 1; not read where
        ``attributes`` and both adversaries have the Python number 0.
      **options: those of ``make_train_step``, for both updates.

    Returns:
      The step, for states of ``init_dualdis``; it counts one. Metrics, means over the
      batch: ``loss``, of the network; ``class_loss`` and ``reconstruction``;
      ``attribute_loss`` where attributes are read; ``class_confusion`` and
      ``attribute_confusion``, the terms of the adversaries without their weights, and
      ``adversary_loss``, of their update, unless they are left out.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing or a
        network gives other outputs.

    Gradient evaluations: those of ``make_train_step`` for each role, and a forward pass
    of the network.

    Source: Robert, Thome and Cord, "DualDis: Dual-Branch Disentangling with Adversarial
    Learning", arXiv:1906.00804, and the first author's thesis. The defaults are those
    on CelebA.

    >>> from jaxopt_lab.recipes import DualOutputs
    >>> def apply(params, state, x, *, train, key=None):
    ...     h = x @ params
    ...     return DualOutputs(h, h, h, h[:, :1], x), state
    >>> def guess(params, state, h, *, train, key=None):
    ...     return (h[1] @ params, h[0] @ params[:, :1]), state
    >>> pair = (Functional(lambda key: (jnp.eye(2), {}), f) for f in (apply, guess))
    >>> tx = optax.sgd(0.1)
    >>> state = init_dualdis(tx, jnp.eye(2), jnp.eye(2), jax.random.key(0))
    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, 1])}
    >>> batch["attributes"] = jnp.array([[1], [-1]])
    >>> state, metrics = jax.jit(make_dualdis_step(*pair, tx))(state, batch)
    >>> int(state.step), float(metrics["reconstruction"])
    (1, 0.0)
    """
    check_arguments(make_dualdis_step, locals())
    other_tx = tx if adversary_tx is None else adversary_tx
    zero = [known_number(w) == 0 for w in (class_adversary, attribute_adversary)]
    alone = all(zero)
    unread = alone and known_number(attributes) == 0

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (NETWORK, ADVERSARIES), "init_dualdis")
        marked = "" if unread else attribute_label
        batch = with_shares(batch, inputs, label, marked, options)
        rivals = state.params[ADVERSARIES]

        def main(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x = to_float(batch[inputs])
            out, kept = network.apply(params, states[NETWORK], x, train=True, key=key)
            check_outputs(out, x)
            loss = class_loss(out.class_logits, batch, label)
            dtype = loss.dtype
            wide = accumulation_dtype(x.dtype)
            gap = out.rebuilt.astype(wide) - x.astype(wide)
            told = {"class_loss": loss, "reconstruction": jnp.mean(gap**2)}
            terms = [(reconstruction, told["reconstruction"])]
            terms += [
                (orthogonality, not_orthogonal(head, kind=orthogonality_kind))
                for head in out.heads
            ]
            if not unread:
                found = attribute_loss(out.attribute_logits, batch, attribute_label)
                told["attribute_loss"] = found
                terms.append((attributes, found))
            if not alone:
                features = out.class_features, out.attribute_features
                guess, _ = adversaries.apply(
                    rivals, states[ADVERSARIES], features, train=False
                )
                classes, marks = guesses(guess)
                told["class_confusion"] = (
                    -class_loss(classes, batch, label)
                    if push == "negative"
                    else -mean_entropy(classes)
                )
                told["attribute_confusion"] = attribute_loss(
                    marks, batch, attribute_label, opposite=True
                )
                terms.append((class_adversary, told["class_confusion"]))
                terms.append((attribute_adversary, told["attribute_confusion"]))
            for weight, term in terms:
                if known_number(weight) != 0:
                    loss = loss + jnp.asarray(weight, dtype) * term.astype(dtype)
            told = {name: value.astype(dtype) for name, value in told.items()}
            return loss, ({**states, NETWORK: kept}, told)

        after, metrics = train_role(NETWORK, main, tx, state, batch, **options)
        if alone:
            return after, metrics
        trained, own_state = after.params[NETWORK], state.model_state[NETWORK]

        def rival(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            first, second = jax.random.split(key)
            x = to_float(batch[inputs])
            out, _ = network.apply(trained, own_state, x, train=True, key=first)
            features = jax.lax.stop_gradient(
                (out.class_features, out.attribute_features)
            )
            guess, kept = adversaries.apply(
                params, states[ADVERSARIES], features, train=True, key=second
            )
            classes, marks = guesses(guess)
            loss = class_loss(classes, batch, label)
            more = attribute_loss(marks, batch, attribute_label)
            loss = loss + more.astype(loss.dtype)
            return loss, ({**states, ADVERSARIES: kept}, {})

        last, told = train_role(ADVERSARIES, rival, other_tx, after, batch, **options)
        metrics = {**metrics, "adversary_loss": told["loss"]}
        if "skipped" in told:
            metrics["skipped"] = jnp.maximum(metrics["skipped"], told["skipped"])
        # One step of the recipe is one of each role.
        return last._replace(step=after.step), metrics

    return step
