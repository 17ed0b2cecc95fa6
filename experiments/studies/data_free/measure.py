"""Accuracies of networks that are quantized on inputs of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.data_free import network
from experiments.studies.data_free.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.quantize import (
    GenieGrid,
    allocate_bits,
    distill_inputs,
    distill_with_generator,
    genie,
    init_step,
    learned_step,
    sensitivities,
)
from jaxopt_lab.quantize.learned_step import LearnedStep

REAL, ZEROQ, GENIE, NORMAL, NONE = "real", "ZeroQ", "Genie", "normal noise", "none"
KINDS = REAL, ZEROQ, GENIE, NORMAL
METHODS = {"nearest": {}, "fixed step": {"scale_rate": 0.0}, "joint step": {}}
_FEW = 8


class Measured(NamedTuple):
    """Everything that is measured on the test set.

    Attributes:
      before: accuracy in floats, ``(seeds,)``.
      accuracy: by bits, method and inputs, ``{bits: {method: {kind: (seeds,)}}}``;
        without inputs there is rounding to the nearest alone.
      allocated: ``{"by sensitivities" or "uniform": (seeds,)}``, 8-bit activations.
      bits: of the layers by sensitivities, ``(seeds, layers)``.
    """

    before: np.ndarray
    accuracy: dict[str, dict[str, dict[str, np.ndarray]]]
    allocated: dict[str, np.ndarray]
    bits: np.ndarray


def images() -> tuple[Labelled, Labelled]:
    """The digits as images of mean 0 and deviation 1."""
    train, test = programs.digits()
    mean, spread = jnp.mean(train.inputs), jnp.std(train.inputs)
    made = lambda x: ((x - mean) / spread).reshape(-1, *network.SHAPE)
    return (
        train._replace(inputs=made(train.inputs)),
        test._replace(inputs=made(test.inputs)),
    )


def measure(config: Config, store: Store) -> Measured:
    """Train, make inputs, quantize and test; see ``Experiment.measure``."""
    train, test = images()
    run = lambda key, train: _trained(config, key, train)
    nets, real, noise = programs.over_seeds(run, config, train)
    inputs = {
        REAL: real,
        ZEROQ: _zeroq(config, nets),
        GENIE: _genie(config, nets),
        NORMAL: noise,
    }
    stacked = np.stack([inputs[kind] for kind in KINDS], axis=1)
    score = lambda p, s, test: dense_nets.accuracy(
        network.scores(p, s, test.inputs), test.labels
    )
    before = np.asarray(jax.jit(jax.vmap(score, (0, 0, None)))(*nets, test))
    rows, accuracy = store.group("runs"), {}
    for bits in config.bits:
        found = accuracy.setdefault(str(bits), {})
        for method in METHODS:
            take = lambda m=method, b=bits: {
                "accuracy": _quantized(config, m, b, nets, stacked, test)
            }
            row = rows.measured(f"{method}, {bits} bits", take)["accuracy"]
            kinds = (*KINDS, NONE) if method == "nearest" else KINDS
            found[method] = dict(zip(kinds, row.T, strict=True))
    allocated = lambda: _allocated(config, nets, inputs[ZEROQ], test)
    row = rows.measured("allocation", allocated)
    bits = row.pop("bits")
    return Measured(before, accuracy, row, bits)


def _trained(config: Config, key: jax.Array, train: Labelled) -> Any:
    keys = jax.random.split(key, 4)
    at = programs.picks(keys[0], config.steps, config.batch, len(train.labels))

    def loss(params: Any, stats: Any, at: jax.Array) -> Any:
        found, stats = network.trained_scores(params, stats, train.inputs[at])
        return dense_nets.mean_cross_entropy(found, train.labels[at]), stats

    start = network.init(keys[1], config.channels)
    nets = programs.trained_with_state(loss, optax.adam(config.rate), *start, at)
    places = jax.random.choice(keys[2], len(train.labels), (config.examples,), False)
    shape = config.examples, *network.SHAPE
    return nets, train.inputs[places], jax.random.normal(keys[3], shape)


def _zeroq(config: Config, nets: Any) -> np.ndarray:
    shape = config.examples, *network.SHAPE

    def run(key: jax.Array, own: Any) -> jax.Array:
        found = distill_inputs(
            key, network.observe, own, shape, steps=config.distilling
        )
        return found.inputs

    return programs.over_seeds(run, config, own=nets)


def _genie(config: Config, nets: Any) -> np.ndarray:
    shape = config.examples, *network.SHAPE
    watched = lambda weights, x: network.observe(weights, x, network.convolution)
    found = []
    for i in range(config.seeds):
        own = jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), nets)
        made = distill_with_generator(
            jax.random.key(config.first_seed + i),
            watched,
            own,
            shape,
            steps=config.distilling,
            latent=config.latent,
            width=config.width,
        )
        found.append(np.asarray(made.inputs))
    return np.stack(found)


def _rounded(
    config: Config, method: str, bits: int, kernel: jax.Array, columns: jax.Array
) -> jax.Array:
    """A kernel on its grid, fitted to its inputs ``(..., inputs)``."""
    if method == "nearest":
        return GenieGrid(bits).encode(kernel.T).dequantize().T
    x = columns.reshape(-1, kernel.shape[0])
    options = {"bits": bits, "steps": config.learned, **METHODS[method]}
    return genie(kernel.T, x.T @ x, **options)[0].dequantize().T


def _coarse(
    config: Config,
    params: Any,
    stats: Any,
    given: jax.Array,
    rounded: Callable[[int, jax.Array, jax.Array], jax.Array],
    step: Callable[[int, jax.Array], LearnedStep],
    test: Labelled,
) -> jax.Array:
    """Accuracy where layer after layer goes on its grid."""
    made, x, y = dict(params), given, test.inputs
    for i in range(len(stats) + 1):
        name = f"kernel_{i}" if i < len(stats) else "head"
        if i:
            own = step(i, x)
            x, y = learned_step(x, own), learned_step(y, own)
        columns = x
        if i < len(stats):
            columns = network.patches(x, network.STRIDES[i])
        else:
            columns = x.reshape(len(x), -1)
        made[name] = rounded(i, made[name], columns)
        x, y = (network.layer(made, stats, i, z) for z in (x, y))
    return dense_nets.accuracy(y, test.labels)


def _quantized(
    config: Config, method: str, bits: int, nets: Any, inputs: np.ndarray, test: Any
) -> np.ndarray:
    last = len(config.channels)

    def bits_of(i: int) -> int:
        return _FEW if i in (0, last) else bits

    def run(key: jax.Array, own: Any, test: Labelled) -> jax.Array:
        del key
        (params, stats), sets = own

        def rounded(i: int, kernel: jax.Array, columns: jax.Array) -> jax.Array:
            name = "nearest" if i in (0, last) else method
            return _rounded(config, name, bits_of(i), kernel, columns)

        def fitted(i: int, x: jax.Array) -> LearnedStep:
            return init_step(x, bits=_FEW if i == last else config.activations)

        def blind(i: int, x: jax.Array) -> LearnedStep:
            del x
            ends = params[f"offset_{i - 1}"] + 3 * jnp.abs(params[f"scale_{i - 1}"])
            high = 2.0 ** (_FEW if i == last else config.activations) - 1
            scale = jnp.maximum(jnp.max(ends), 1e-6) / high
            return LearnedStep(scale, jnp.zeros(()), jnp.asarray(high))

        one = lambda x: _coarse(config, params, stats, x, rounded, fitted, test)
        found = jax.vmap(one)(sets)
        if method != "nearest":
            return found
        none = _coarse(config, params, stats, sets[0], rounded, blind, test)
        return jnp.append(found, none)

    return programs.over_seeds(run, config, test, own=(nets, inputs))


def _allocated(
    config: Config, nets: Any, inputs: np.ndarray, test: Labelled
) -> dict[str, np.ndarray]:
    inner = range(1, len(config.channels))
    names, chosen = [f"kernel_{i}" for i in inner], []
    sizes = [nets[0][name][0].size for name in names]
    grids = [GenieGrid(bits) for bits in config.choices]
    for i in range(config.seeds):
        params, stats = jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), nets)
        apply = lambda params, x, stats=stats: network.scores(params, stats, x)
        errors = sensitivities(apply, params, names, grids, jnp.asarray(inputs[i]))
        budget = config.mean_bits * sum(sizes)
        chosen.append(allocate_bits(errors, sizes, config.choices, budget).bits)
    uniform = [[config.mean_bits] * len(sizes)] * config.seeds
    choices = jnp.asarray(config.choices)

    def run(key: jax.Array, own: Any, test: Labelled) -> jax.Array:
        del key
        (params, stats), given, bits = own

        def rounded(i: int, kernel: jax.Array, columns: jax.Array) -> jax.Array:
            del columns
            if i not in inner:
                return GenieGrid(_FEW).encode(kernel.T).dequantize().T
            every = jnp.stack([g.encode(kernel.T).dequantize().T for g in grids])
            return every[jnp.argmax(choices == bits[i - 1])]

        step = lambda i, x: init_step(x, bits=_FEW)
        return _coarse(config, params, stats, given, rounded, step, test)

    def accuracy(bits: Any) -> np.ndarray:
        own = nets, inputs, np.asarray(bits)
        return programs.over_seeds(run, config, test, own=own)

    return {
        "by sensitivities": accuracy(chosen),
        "uniform": accuracy(uniform),
        "bits": np.asarray(chosen),
    }
