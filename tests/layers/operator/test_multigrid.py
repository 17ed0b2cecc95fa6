"""Multigrid cycles against loops in NumPy, and as solvers of the Poisson problem."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import multigrid_conv, multigrid_cycle, multigrid_shapes

RNG = np.random.default_rng(0)
MODES: Any = {"dirichlet": "constant", "periodic": "wrap", "neumann": "reflect"}


def convolved(u, kernel, boundary):
    padded = np.pad(u, ((1, 1), (1, 1), (0, 0)), mode=MODES[boundary])
    y = np.zeros((*u.shape[:2], kernel.shape[-1]))
    for a, b in np.ndindex(3, 3):
        y += padded[a : a + u.shape[0], b : b + u.shape[1]] @ kernel[a, b]
    return y


def refined(u, kernel, boundary, grid, zeros):
    """Every coarse value is added to the fine points around its own."""
    m, size = np.array(u.shape[:2]), kernel.shape[0]
    fine = 2 * m + {"even": 0, "odd": -1, "nested": 1}[grid]
    y = np.zeros((*fine, kernel.shape[-1]))
    ghosts = boundary == "neumann" and not zeros
    beyond = [range(-1, n + 1) if ghosts else range(n) for n in m]
    mirrored = lambda k, n: abs(k) if k < n else 2 * (n - 1) - k
    for k in itertools.product(*beyond):
        value = u[mirrored(k[0], m[0]), mirrored(k[1], m[1])]
        for tap in np.ndindex(size, size):
            at = 2 * np.array(k) + tap - (0 if grid == "nested" else 1)
            if boundary == "periodic" and not zeros:
                at = at % fine
            if np.all((at >= 0) & (at < fine)):
                y[tuple(at)] += value @ kernel[tap]
    return y


def cycle(params, f, *, levels, pre, post, coarsest, boundary, grid, correction, zeros):
    keep = slice(1, None, 2) if grid == "nested" else slice(0, None, 2)
    sources: Any = [f]
    functions: Any = [None]
    uses = [0] * levels

    def residual(j):
        if functions[j] is None:
            return sources[j]
        kernel = params[f"operator_{j}"][uses[j]]
        uses[j] += 1
        return sources[j] - convolved(functions[j], kernel, boundary)

    def smooth(j, step):
        change = convolved(residual(j), params[f"smooth_{j}"][step], boundary)
        functions[j] = change + (0 if functions[j] is None else functions[j])

    for j in range(levels):
        for step in range(coarsest if j == levels - 1 else pre):
            smooth(j, step)
        if j < levels - 1:
            below = residual(j) if correction == "residual" else sources[j]
            coarse = convolved(below, params[f"restrict_{j}"], boundary)
            sources.append(coarse[keep, keep])
            functions.append(None)
            if correction == "full":
                start = convolved(functions[j], params[f"start_{j}"], boundary)
                functions[j + 1] = start[keep, keep]
    for j in range(levels - 2, -1, -1):
        kernel = params[f"prolong_{j}"]
        change = refined(functions[j + 1], kernel, boundary, grid, zeros)
        functions[j] = functions[j] + change
        for step in range(pre, pre + post):
            smooth(j, step)
    return functions[0]


CASES = [
    ("dirichlet", "even", "residual", (8, 12), False),
    ("dirichlet", "odd", "full", (9, 5), False),
    ("dirichlet", "nested", "residual", (7, 11), False),
    ("periodic", "even", "full", (8, 8), False),
    ("periodic", "even", "residual", (8, 12), True),
    ("neumann", "even", "residual", (8, 8), False),
    ("neumann", "odd", "full", (5, 9), False),
    ("neumann", "odd", "residual", (5, 5), True),
]
STEPS: Any = {"levels": 3, "pre": 2, "post": 1, "coarsest": 2}


def settings(boundary, grid, correction, zeros) -> Any:
    kinds: Any = {"grid": grid, "correction": correction}
    shapes = multigrid_shapes(2, 3, **STEPS, **kinds)
    params = {n: 0.3 * RNG.normal(size=s) for n, s in shapes.items()}
    return params, {**STEPS, **kinds, "boundary": boundary, "zeros": zeros}


def cycles(cases):
    """Of each case the case, the cycle in one program for all, and the loops."""
    given = [settings(a, b, c, z) for a, b, c, _, z in cases]
    inputs = [RNG.normal(size=(1, *case[3], 2)) for case in cases]

    @jax.jit
    def run(params, inputs):
        return [
            multigrid_cycle(p, f, **options)
            for p, f, (_, options) in zip(params, inputs, given, strict=True)
        ]

    found = run([p for p, _ in given], inputs)
    loops = [
        cycle(params, f[0], **options)
        for (params, options), f in zip(given, inputs, strict=True)
    ]
    return zip(cases, [y[0] for y in found], loops, strict=True)


CLOSE: Any = {"rtol": 1e-10, "atol": 1e-11}


def test_cycles_are_the_loops():
    for case, y, want in cycles(CASES[2:4]):
        np.testing.assert_allclose(y, want, **CLOSE, err_msg=str(case))


@pytest.mark.full
def test_cycles_of_other_borders_are_the_loops():
    for case, y, want in cycles([*CASES[:2], *CASES[4:]]):
        np.testing.assert_allclose(y, want, **CLOSE, err_msg=str(case))


def test_a_cycle_is_linear_and_wraps():
    params, options = settings("periodic", "even", "full", False)
    f, g = RNG.normal(size=(2, 1, 8, 8, 2))
    run = jax.jit(
        lambda f, zeros: multigrid_cycle(params, f, **{**options, "zeros": zeros}),
        static_argnums=1,
    )
    y, z, both, none, moved, shifted = (
        np.asarray(run(v, False))
        for v in (f, g, 2 * f - g, 0 * f, np.roll(f, 4, 1), np.roll(f, (4, -4), (1, 2)))
    )
    np.testing.assert_allclose(both, 2 * y - z, atol=1e-12)
    assert not none.any()
    np.testing.assert_allclose(moved, np.roll(y, 4, 1), atol=1e-12)
    np.testing.assert_allclose(shifted, np.roll(y, (4, -4), (1, 2)), atol=1e-12)
    # With zeros across the border, as in the reference, it does not.
    one, two = (np.asarray(run(v, True)) for v in (f, np.roll(f, 4, 1)))
    assert np.max(np.abs(two - np.roll(one, 4, 1))) > 1e-3


STENCIL = np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
POINT = np.outer([0, 1.0, 0], [0, 1.0, 0])
LINE = np.array([0.5, 1, 0.5])


def poisson(levels, steps, grid, smoother) -> Any:
    """The five-point Laplacian, one smoother, full weighting and bilinear values."""
    lift = lambda k: np.asarray(k)[..., None, None]
    wide = np.append(LINE, 0) if grid == "even" else LINE
    params = {}
    for j in range(levels):
        params[f"smooth_{j}"] = np.stack([lift(smoother)] * 8)
        params[f"operator_{j}"] = lift(STENCIL)[None]
        # Of the squared mesh size, 4 times from one grid to the next.
        params[f"restrict_{j}"] = lift(np.outer(LINE, LINE))
        params[f"prolong_{j}"] = lift(np.outer(wide, wide))
    options = {"levels": levels, "pre": steps, "post": steps, "grid": grid}
    return params, {**options, "coarsest": 8, "correction": "residual"}


def contraction(boundary, grid, size, steps, smoother):
    """The factor of the residual of a cycle, when it has settled."""
    levels = 4 if grid == "even" else 5  # down to 4 points a side, or 1
    params, options = poisson(levels, steps, grid, smoother)
    lift = jnp.asarray(STENCIL)[None, ..., None, None]
    plain: Any = {"levels": 1, "coarsest": 1, "boundary": boundary}

    def applied(u):
        return multigrid_cycle({"smooth_0": lift}, u, **plain)

    def step(u, _):
        r = -applied(u)
        u = u + multigrid_cycle(params, r, boundary=boundary, **options)
        return u - jnp.mean(u) * (boundary == "periodic"), jnp.sqrt(jnp.sum(r * r))

    def run(u):
        return jax.lax.scan(step, u, None, length=14)[1]

    return functools.partial(run, RNG.normal(size=(1, size, size, 1)))


# The least largest factor of a high frequency in one step, 0.165, on a grid of kernels.
NINE_POINTS = np.array([[0.02, 0.065, 0.02], [0.065, 0.29, 0.065], [0.02, 0.065, 0.02]])


def rates(cases):
    found = jax.device_get(jax.jit(lambda: {n: f() for n, f in cases.items()})())
    return {n: (r[-1] / r[6]) ** (1 / 7) for n, r in found.items()}


def test_a_cycle_contracts_the_poisson_residual():
    found = rates({"nine": contraction("periodic", "even", 32, 1, NINE_POINTS)})
    assert found["nine"] < 0.2


@pytest.mark.full
def test_cycles_contract_as_in_textbooks():
    jacobi = 0.8 / 4 * POINT
    cases = {
        "periodic": contraction("periodic", "even", 32, 2, jacobi),
        "dirichlet": contraction("dirichlet", "nested", 31, 2, jacobi),
        "one": contraction("dirichlet", "nested", 31, 1, jacobi),
    }
    found = rates(cases)
    assert found["periodic"] < 0.2 and found["dirichlet"] < 0.2
    assert 0.25 < found["one"] < 0.4  # 0.36 for two grids


def test_parameters_know_no_grid():
    layer = multigrid_conv(1, out=2, levels=2)
    params = jax.eval_shape(layer.init, jax.random.key(0))[0]
    for size in (4, 32, 64):
        x = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
        call = lambda p, x: layer.apply(p, {}, x, train=True)[0]
        assert jax.eval_shape(call, params, x).shape == (1, size, size, 2)
    assert multigrid_shapes(1, 2, levels=2, pre=3, share=True)["operator_0"][0] == 1


IMAGE = jnp.ones((1, 8, 6, 1))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"levels": 3}, r"grids of 4 n points a side, n at least 2.*got \(8, 6\)"),
        ({"levels": 5}, "grids of 16 n points"),
        ({"levels": 2, "grid": "odd"}, r"2 n \+ 1 points a side, n at least 1"),
        ({"levels": 2, "grid": "nested"}, "2 n - 1 points a side"),
        ({"boundary": "periodic", "grid": "odd"}, "grid must be even for boundary="),
        ({"boundary": "neumann", "grid": "nested"}, "grid must be even or odd"),
        ({"pre": 0}, "pre"),
        ({"boundary": "x"}, "dirichlet, neumann, periodic"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words) as error:
        multigrid_conv(1, **options).apply({}, {}, IMAGE, train=True)
    assert "\n" not in str(error.value)


def test_grids_are_images():
    with pytest.raises(InputError, match="functions"):
        multigrid_conv(1).apply({}, {}, IMAGE[0], train=True)
