"""What each diagnostic measures here, and what is known of the answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab import curvature, diagnostics

SIZE = 12


class Case(NamedTuple):
    """A diagnostic where the truth is known.

    Attributes:
      measure: ``measure(build, samples, seed)``, the diagnostic's result.
      truth: ``truth(value)``, what the value estimates; for an error that is the
        distance from the nearest of several values, that one.
      errors: number of errors within which the truth must lie.
      few: samples of a rough measurement.
      many: those of a finer one.
      degenerate: ``degenerate(build)``, results on degenerate inputs by name, and what
        their values are.
      poisoned: ``poisoned(build)``, the result where the input holds a NaN.
      neutral: ``neutral(build)``, a value and the arguments of the simpler function.
    """

    measure: Callable[..., Any]
    truth: Callable[[Any], float]
    errors: float
    few: int
    many: int
    degenerate: Callable[[Any], Mapping[str, tuple[Any, float]]]
    poisoned: Callable[[Any], Any]
    neutral: Callable[[Any], tuple[Any, tuple[Any, ...]]]


@functools.cache
def key(seed: int) -> Any:
    """A key from its bits."""
    return jax.random.wrap_key_data(np.array([5, seed], np.uint32))


def _product(matrix: Any, v: Any) -> Any:
    return matrix @ v


def _operator(matrix: Any) -> curvature.Operator:
    # The matrix is data of the operator: one program for all of them.
    like = jax.ShapeDtypeStruct((SIZE,), np.float64)
    return curvature.Operator(
        lambda v: matrix @ v, like, SIZE, apply=_product, data=matrix
    )


@functools.cache
def _matrix() -> np.ndarray:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(SIZE, SIZE))
    return half + half.T + np.diag(np.arange(SIZE))


ZEROS, EYE = np.zeros((SIZE, SIZE)), np.eye(SIZE)
NAN = np.full((SIZE, SIZE), np.nan)


def _trace(build: Any, matrix: Any, samples: int, seed: int = 0) -> Any:
    # Eight probes a program, however many there are.
    return build(_operator(matrix), key(seed), num_probes=samples, chunk=8)


TRACE = Case(
    measure=lambda build, samples, seed: _trace(build, _matrix(), samples, seed),
    truth=lambda value: float(np.trace(_matrix())),
    errors=4.0,
    few=16,
    many=160,
    degenerate=lambda build: {
        "zero": (_trace(build, ZEROS, 16), 0.0),
        "identity": (_trace(build, EYE, 16), float(SIZE)),
    },
    poisoned=lambda build: _trace(build, NAN, 16),
    neutral=lambda build: (
        _trace(build, np.diag(np.arange(SIZE) + 0.5), 16).value,
        (np.diag(np.arange(SIZE) + 0.5),),
    ),
)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _ritz(build: Any, matrix: Any, steps: int, bits: Any) -> Any:
    """Value and residual; one program for each number of steps."""
    key = jax.random.wrap_key_data(bits)
    found = build(_operator(matrix), key, num_steps=steps, traced=True)
    return found.value, found.error


class Pair(NamedTuple):
    """A value and its error."""

    value: Any
    error: Any


def _top(build: Any, matrix: Any, steps: int, seed: int = 0) -> Any:
    bits = np.array([5, seed], np.uint32)
    return Pair(*_ritz(build, matrix, steps, bits))


def _nearest(value: Any) -> float:
    values = np.linalg.eigvalsh(_matrix())
    return float(values[np.argmin(np.abs(values - value))])


TOP = Case(
    measure=lambda build, samples, seed: _top(build, _matrix(), samples, seed),
    truth=_nearest,
    errors=1.0,
    few=3,
    many=9,
    degenerate=lambda build: {
        "zero": (_top(build, ZEROS, 3), 0.0),
        "identity": (_top(build, EYE, 3), 1.0),
    },
    poisoned=lambda build: _top(build, NAN, 3),
    neutral=lambda build: (
        _top(build, np.diag(np.r_[np.zeros(SIZE - 1), 7.0]), 3).value,
        (np.r_[np.zeros(SIZE - 1), 7.0],),
    ),
)


def _square(w: Any, x: Any) -> Any:
    return jnp.mean(jnp.sum((w[None] - x) ** 2, axis=1)) / 2


@functools.partial(jax.jit, static_argnums=0)
def _noise(build: Any, x: Any) -> Any:
    """The result; one program for each number of examples."""
    return build(_square, jnp.zeros(2), [x])


def _examples(count: int, seed: int) -> np.ndarray:
    return np.array([3.0, -1.0]) + np.random.default_rng(seed).normal(size=(count, 2))


NOISE = Case(
    measure=lambda build, samples, seed: _noise(build, _examples(samples, seed)),
    truth=lambda value: 2.0 / 10.0,
    errors=4.0,
    few=40,
    many=640,
    degenerate=lambda build: {"equal": (_noise(build, np.ones((40, 2))), 0.0)},
    poisoned=lambda build: _noise(build, np.full((40, 2), np.nan)),
    neutral=lambda build: (_noise(build, np.full((40, 2), 0.7)).value, (0.0,)),
)

WEIGHTS = np.random.default_rng(3).normal(size=(5, 4, 4)) / 2
START = np.array([0.3, -1.0, 0.5, 0.8])


@functools.cache
def _expansion(build: Any, order: int) -> Any:
    def run(x: Any, weights: Any, scale: Any) -> Any:
        blocks = [lambda h, i=i: jnp.tanh(weights[i] @ h) for i in range(len(weights))]
        return build(blocks, x, scale=scale, order=order)

    return jax.jit(run)


def _expanded(
    build: Any, order: int, x: Any = START, weights: Any = WEIGHTS, scale: float = 0.4
) -> Any:
    return _expansion(build, order)(x, weights, scale)


def _network(scale: float = 0.4) -> float:
    x = START
    for w in WEIGHTS:
        x = x + scale * np.tanh(w @ x)
    return float(np.sqrt(np.mean(x**2)))


EXPANSION = Case(
    measure=lambda build, samples, seed: _expanded(build, samples),
    truth=lambda value: _network(),
    errors=1.0,
    few=1,
    many=3,
    degenerate=lambda build: {
        "zero": (_expanded(build, 1, weights=0 * WEIGHTS), _network(0.0)),
    },
    poisoned=lambda build: _expanded(build, 1, START * np.nan),
    neutral=lambda build: (
        _expanded(build, 1, np.array([-1.5]), np.ones((1, 1, 1)), 0.0).value,
        (-1.5,),
    ),
)


@functools.cache
def _scores(build: Any, draws: int) -> Any:
    def squared(params: Any, x: Any) -> Any:
        return jnp.sum((x @ params["w"]) ** 2)

    def run(w: Any, bits: Any, sigma: Any) -> Any:
        key, x = jax.random.wrap_key_data(bits), jnp.ones((1, w.shape[0]))
        return build(squared, {"w": w}, x, key, sigma=sigma, draws=draws)

    return jax.jit(run)


def _scored(
    build: Any, draws: int, seed: int = 0, w: Any = WEIGHTS[0], sigma: float = 0.2
) -> Any:
    return _scores(build, draws)(w, np.array([5, seed], np.uint32), sigma)


def _mean_score(sigma: float = 0.2) -> float:
    w = WEIGHTS[0]
    return float(np.sum(w.sum(0) ** 2) + w.size * (sigma * np.abs(w).max()) ** 2)


NOISY_WEIGHTS = Case(
    measure=_scored,
    truth=lambda value: _mean_score(),
    errors=4.0,
    few=20,
    many=320,
    degenerate=lambda build: {
        "zero": (_scored(build, 20, w=0 * WEIGHTS[0]), 0.0),
        "quiet": (_scored(build, 20, sigma=0.0), _mean_score(0.0)),
    },
    poisoned=lambda build: _scored(build, 20, w=np.nan * WEIGHTS[0]),
    neutral=lambda build: (
        _scored(build, 20, w=np.array([[1.5]]), sigma=0.0).value,
        (1.5,),
    ),
)

GRAM = np.linspace(-0.4, 0.6, 6)


@functools.cache
def _limits(build: Any, depth: int, weights: tuple[float, ...]) -> Any:
    dual = diagnostics.dual_activation(np.sqrt(weights))
    return jax.jit(lambda gram: build(dual, gram, depth=depth))


def _limit(
    build: Any,
    depth: int,
    gram: Any = GRAM,
    weights: tuple[float, ...] = (0.0, 0.5, 0.0, 0.5),
) -> Any:
    return _limits(build, depth, weights)(gram)


def _koenigs() -> float:
    """The limit by iteration, for the slope 1/2 at 0."""
    xi = GRAM
    for _ in range(60):
        xi = (xi + xi**3) / 2
    return float(np.mean(xi * 2.0**60))


DEPTH = Case(
    measure=lambda build, samples, seed: _limit(build, samples),
    truth=lambda value: _koenigs(),
    errors=2.0,
    few=50,
    many=200,
    degenerate=lambda build: {"zero": (_limit(build, 50, 0 * GRAM), 0.0)},
    poisoned=lambda build: _limit(build, 50, GRAM * np.nan),
    neutral=lambda build: (_limit(build, 50, GRAM, (0.0, 1.0)).value, (GRAM,)),
)

MIXED = np.array([[1.0, 0.5], [0.0, 2.0], [-1.0, 1.0]])
"""Of uncorrelated inputs of variance 1, 2 and 3."""


def _scaled(count: int, seed: int) -> np.ndarray:
    normal = np.random.default_rng(seed).normal(size=(count, 3))
    return normal * np.sqrt([1.0, 2.0, 3.0])


def _seen(build: Any, x: Any) -> Any:
    return build([_mixed], x, output="identity")


def _mixed(f: Any) -> Any:
    return f @ jnp.asarray(MIXED)


ROW = np.tile(np.eye(3)[:1], (50, 1))

INTERACTION = Case(
    measure=lambda build, samples, seed: _seen(build, _scaled(samples, seed)),
    truth=lambda value: float(np.sum((MIXED**2).sum(1) * [1.0, 2.0, 3.0])),
    errors=4.0,
    few=50,
    many=800,
    degenerate=lambda build: {
        "zero": (_seen(build, 0 * ROW), 0.0),
        "flat": (_seen(build, ROW), float(np.sum(MIXED[0] ** 2))),
    },
    poisoned=lambda build: _seen(build, np.nan * ROW),
    neutral=lambda build: (
        _seen(build, 1.5 / np.linalg.norm(MIXED[0]) * ROW).value,
        (1.5,),
    ),
)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _calibration(build: Any, z: Any, y: Any, bandwidth: float) -> Any:
    return build(z, y, bandwidth=bandwidth)


def _drawn(count: int = 40, seed: int = 0, scale: float = 1.0) -> tuple[Any, Any]:
    """Labels drawn from the probabilities; of large logits they are certain."""
    rng = np.random.default_rng(seed)
    z = scale * rng.gumbel(size=(count, 3))
    return z, np.argmax(z + rng.gumbel(size=z.shape), axis=1)


def _calibrated(build: Any, width: float = 0.5, **drawn: Any) -> Any:
    return _calibration(build, *_drawn(**drawn), width)


CALIBRATION = Case(
    measure=lambda build, samples, seed: _calibrated(build, count=samples, seed=seed),
    truth=lambda value: 0.0,
    errors=4.0,
    few=40,
    many=160,
    degenerate=lambda build: {
        "certain": (_calibrated(build, scale=1e6), 0.0),
    },
    poisoned=lambda build: _calibrated(build, scale=np.nan),
    neutral=lambda build: (
        _calibrated(build, width=np.inf).value,
        _drawn(),
    ),
)

CASES: dict[str, Case] = {
    "interaction_basis": INTERACTION,
    "depth_limit": DEPTH,
    "kernel_calibration_error": CALIBRATION,
    "residual_expansion": EXPANSION,
    "hutchinson_trace": TRACE,
    "top_eigenvalues": TOP,
    "example_noise_scale": NOISE,
    "weight_noise": NOISY_WEIGHTS,
}
