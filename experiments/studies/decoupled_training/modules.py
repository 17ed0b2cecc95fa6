"""Four modules in a row that learn digits."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.decoupled_training.config import Config
from experiments.studies.dense_nets import accuracy, dense_params
from experiments.studies.programs import Labelled, digits, over_seeds, picks
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import synthetic_gradient
from jaxopt_lab.losses import cross_entropy
from jaxopt_lab.recipes import init_decoupled, make_decoupled_step
from jaxopt_lab.training import init_state, make_train_step

_CLASSES = 10


class Arm(NamedTuple):
    """How modules are trained.

    Attributes:
      weight: of the predicted gradients; 1 is unlocked.
      learns: whether the predictors learn; else they say 0.
      labels: whether they are given the label.
    """

    weight: float
    learns: bool = True
    labels: bool = False


ARMS = {
    "exact": Arm(0.0),
    "half": Arm(0.5),
    "unlocked": Arm(1.0),
    "last module alone": Arm(1.0, learns=False),
    "half, with labels": Arm(0.5, labels=True),
    "unlocked, with labels": Arm(1.0, labels=True),
}


def accuracies(config: Config) -> dict[str, np.ndarray]:
    """Test accuracies of all arms, and whether weight 0 is plain training.

    Args:
      config: the size of the study.

    Returns:
      By arm ``(seeds,)``, and ``"same"``, the largest difference of a parameter from
      plain training.
    """
    found: dict[str, np.ndarray] = {}
    for labels in (False, True):
        chosen = {name: arm for name, arm in ARMS.items() if arm.labels == labels}
        numbers = np.array([(arm.weight, arm.learns) for arm in chosen.values()])

        def run(
            key: jax.Array, numbers: jax.Array, *data: Labelled, labels: bool = labels
        ) -> Any:
            one = lambda pair: _run(key, pair[0], pair[1], labels, data, config)
            scores, params = jax.lax.map(one, numbers)
            if labels:
                return scores, jnp.zeros(())
            plain = _plain(key, data[0], config)
            gaps = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a[0] - b)), params, plain)
            return scores, jnp.max(jnp.stack(jax.tree.leaves(gaps)))

        scores, gap = over_seeds(
            run, config, jnp.asarray(numbers, jnp.float32), *digits(), loop=True
        )
        found |= dict(zip(chosen, scores.T, strict=True))
        if not labels:
            found["same"] = gap.max()
    return found


def _modules(config: Config) -> list[Functional]:
    width = config.width
    sizes = [(64, width), (width, width), (width, width), (width, _CLASSES)]

    def module(a: int, b: int, last: bool) -> Functional:
        def apply(params: Any, state: Any, x: Any, *, train: bool, key: Any = None):
            y = x @ params["kernel"] + params["bias"]
            return (y if last else jax.nn.relu(y)), state

        return Functional(lambda key: (dense_params(key, a, b)[0], {}), apply)

    return [module(a, b, i == 3) for i, (a, b) in enumerate(sizes)]


def _drawn(key: jax.Array, train: Labelled, config: Config) -> Any:
    """Initial modules, a key for the predictors, and all batches."""
    own, other, rows = jax.random.split(key, 3)
    modules = _modules(config)
    keys = jax.random.split(own, len(modules))
    params = [m.init(k)[0] for m, k in zip(modules, keys, strict=True)]
    places = picks(rows, config.steps, config.batch, len(train.labels))
    return params, other, {"image": train.inputs[places], "label": train.labels[places]}


def _run(
    key: jax.Array,
    weight: jax.Array,
    learns: jax.Array,
    labels: bool,
    data: tuple[Labelled, ...],
    config: Config,
) -> Any:
    train, test = data
    params, other, batches = _drawn(key, train, config)
    modules, width = _modules(config), config.width
    features = width + _CLASSES if labels else width
    layer = synthetic_gradient(features, hidden=config.hidden, out=width)
    predictors = [layer] * (len(modules) - 1)
    keys = jax.random.split(other, len(predictors))
    predicted = [layer.init(k)[0] for k in keys]
    tx = optax.adam(config.rate)
    own = optax.adam(learns * config.predictor_rate)
    step = make_decoupled_step(
        modules,
        predictors,
        tx,
        weight=weight,
        predictor_tx=own,
        classes=_CLASSES if labels else 0,
    )
    state = init_decoupled(tx, params, predicted, key, predictor_tx=own)
    state, _ = jax.lax.scan(lambda s, b: (step(s, b)[0], None), state, batches)
    params = state.params["modules"]
    return accuracy(_forward(modules, params, test.inputs), test.labels), params


def _plain(key: jax.Array, train: Labelled, config: Config) -> Any:
    """Modules after the ordinary training step."""
    params, _, batches = _drawn(key, train, config)
    modules, tx = _modules(config), optax.adam(config.rate)

    def loss(params: Any, state: Any, batch: Any, key: jax.Array) -> Any:
        scores = _forward(modules, params, batch["image"])
        return jnp.mean(cross_entropy(scores, batch["label"])), (state, {})

    step = make_train_step(loss, tx)
    state = init_state(tx, tuple(params), key)
    state, _ = jax.lax.scan(lambda s, b: (step(s, b)[0], None), state, batches)
    return state.params


def _forward(modules: list[Functional], params: Any, x: jax.Array) -> jax.Array:
    for module, own in zip(modules, params, strict=True):
        x, _ = module.apply(own, {}, x, train=True)
    return x
