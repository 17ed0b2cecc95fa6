"""Accuracy and errors of quantized networks, by method and bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.post_training.config import Config
from experiments.studies.programs import Labelled, digits, over_seeds, picks, trained
from jaxopt_lab import catalog

METHODS: Mapping[str, Mapping[str, Any]] = {
    "nearest_linear": {},
    "nearest_gptq": {},
    "gptq": {},
    "quantease": {"init": "gptq", "sweeps": 5},
    "genie": {},
    "jlcm": {"groups": 8},
}
"""Quantizers of the catalog, with the options that are not their defaults."""

_LEARNED = ("genie", "jlcm")
_MOST = {"jlcm": 4}
_HIDDEN, _UNITS = 2, 64


class Measured(NamedTuple):
    """Everything that is measured; ``(seeds,)`` by bits and method.

    Attributes:
      accuracy: on the test set.
      error: squared error of the outputs on the test set, relative to their squares.
      before: accuracy without rounding, ``(seeds,)``.
    """

    accuracy: Mapping[str, Mapping[str, np.ndarray]]
    error: Mapping[str, Mapping[str, np.ndarray]]
    before: np.ndarray


def methods(bits: int) -> list[str]:
    """The methods that take some bits.

    Args:
      bits: of a weight.

    Returns:
      Names; codewords of JLCM have at most 4 bits.

    >>> "jlcm" in methods(8), "jlcm" in methods(4)
    (False, True)
    """
    return [name for name in METHODS if bits <= _MOST.get(name, bits)]


def measure(config: Config, store: Store) -> Measured:
    """Train, quantize and test; see ``Experiment.measure``."""
    train, test = digits()
    run = lambda key, train: _trained(config, key, train)
    nets = over_seeds(run, config, train, loop=True)
    tested = jax.jit(lambda p, test: dense(p, test.inputs))
    plain = [np.asarray(tested(_of_seed(nets, i), test)) for i in range(config.seeds)]
    labels = np.asarray(test.labels)
    rows = store.group("runs")
    found: dict[str, Any] = {}
    for bits in config.bits:
        for method in methods(bits):
            take = lambda m=method, b=bits: _quantized(
                config, m, b, nets, tested, test, plain
            )
            found[f"{method} {bits}"] = rows.measured(f"{method}, {bits} bits", take)
    of: Any = lambda key: {
        str(bits): {m: np.asarray(found[f"{m} {bits}"][key]) for m in methods(bits)}
        for bits in config.bits
    }
    before = np.array([np.mean(scores.argmax(1) == labels) for scores in plain])
    return Measured(of("accuracy"), of("error"), before)


def _of_seed(nets: Any, i: int) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(a[i]), nets["params"])


def _trained(config: Config, key: jax.Array, train: Labelled) -> Any:
    keys = jax.random.split(key)
    index = picks(keys[0], config.steps, config.batch, train.labels.shape[0])

    def loss(params: Any, index: jax.Array) -> jax.Array:
        scores, labels = dense(params, train.inputs[index]), train.labels[index]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))

    start = dense_params(keys[1], 64, *[_UNITS] * _HIDDEN, 10)
    params, _ = trained(loss, optax.adam(config.rate), start, index)
    return {
        "params": params,
        "grams": grams(params, train.inputs[: config.calibration]),
    }


def grams(params: Any, x: jax.Array) -> jax.Array:
    """Products of the inputs of each hidden layer with themselves.

    Args:
      params: of ``dense_params``.
      x: ``(examples, inputs)``.

    Returns:
      ``(layers, inputs, inputs)``.
    """
    found = []
    for layer in params[:-1]:
        found.append(x.T @ x)
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return jnp.stack(found)


def _quantized(
    config: Config,
    method: str,
    bits: int,
    nets: Any,
    tested: Any,
    test: Labelled,
    plain: list[np.ndarray],
) -> dict[str, np.ndarray]:
    row = catalog.get(method, "quantizer")
    options = {**row.overrides, **METHODS[method], "bits": bits}
    if method in _LEARNED:
        options["steps"] = config.learned
    labels, shares, errors = np.asarray(test.labels), [], []
    for i in range(config.seeds):
        params = _of_seed(nets, i)
        for j in range(_HIDDEN):
            kernel, gram = params[j]["kernel"], jnp.asarray(nets["grams"][i, j])
            coded, _ = row.load()(kernel.T, gram, **options)
            values = jnp.asarray(coded.dequantize(), jnp.float32)
            params[j] = {**params[j], "kernel": values.T}
        scores = np.asarray(tested(params, test))
        shares.append(np.mean(scores.argmax(1) == labels))
        apart = np.sum((scores - plain[i]) ** 2) / np.sum(plain[i] ** 2)
        errors.append(max(apart, 1e-12))
    return {"accuracy": np.array(shares), "error": np.array(errors)}
