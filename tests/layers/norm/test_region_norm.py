"""Region normalization against its paper's code, and empty regions."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import region_norm

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "region_norm"
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
QUICK = {"xla_backend_optimization_level": 0}


def load(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


@pytest.mark.full(plain=["b_resized_mask", "l_thr05"])
@pytest.mark.parametrize(
    "case", ["b_empty_mask", "b_half_mask", "b_resized_mask", "l_thr05", "l_thr08"]
)
def test_vectors(case):
    meta, arrays = load(case)
    given = "input/mask" in arrays
    options = {"regions": "given"} if given else {"threshold": meta["threshold"]}
    core = region_norm(arrays["input/x"].shape[-1], eps=meta["eps"], **options)
    params = {n[7:]: a for n, a in arrays.items() if n.startswith("weight/")}
    assert set(params) == set(jax.eval_shape(core.init, jax.random.key(0))[0])

    def run(params, x):
        whole = lambda x: (x, arrays["input/mask"]) if given else x
        y, back = jax.vjp(
            lambda p, x: core.apply(p, {}, whole(x), train=True)[0], params, x
        )
        return y, back(arrays["input/cotangent"])

    run = jax.jit(run, compiler_options=QUICK)
    y, (slopes, slope) = run(params, arrays["input/x"])
    np.testing.assert_allclose(y, arrays["output/y"], **CLOSE)
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    for name, got in slopes.items():
        wanted = arrays[f"grad/{name}"]
        np.testing.assert_allclose(got, wanted, **CLOSE, err_msg=name)


def test_regions_have_their_own_statistics_and_may_be_empty():
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, 4, 4, 3))
    half = np.arange(4)[None, :, None, None] < np.array([4, 0])[:, None, None, None]
    half = np.broadcast_to(half, (2, 4, 4, 1)).astype(float)
    batch, alone = (
        region_norm(3, regions="given", per_example=each, eps=1e-12)
        for each in (False, True)
    )
    params = batch.init()[0]

    def run(region):
        run = lambda core, x: core.apply(params, {}, (x, region), train=True)[0]
        slope = jax.grad(lambda x: jnp.sum(run(alone, x) ** 3))(x)
        return run(batch, x), run(alone, x), slope

    run = jax.jit(run, compiler_options=QUICK)
    # The first image is all foreground, the second all background.
    together, apart, slope = run(half)
    np.testing.assert_allclose(np.mean(together, axis=(1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(np.std(together, axis=(1, 2)), 1, rtol=1e-9)
    np.testing.assert_allclose(apart, together, rtol=1e-9)
    assert np.all(np.isfinite(slope))
    for empty in (np.zeros_like(half), np.ones_like(half)):
        together, apart, slope = run(empty)
        np.testing.assert_allclose(np.std(apart, axis=(1, 2)), 1, rtol=1e-9)
        np.testing.assert_allclose(np.std(together, axis=(0, 1, 2)), 1, rtol=1e-9)
        assert np.all(np.isfinite(slope))


@pytest.mark.parametrize(
    "options, x, words",
    [
        (
            {},
            np.ones((2, 4, 3)),
            r"takes images \(B, height, width, 3\); got \(2, 4, 3\)",
        ),
        ({"regions": "given"}, np.ones((2, 4, 4, 3)), r"takes inputs \(x, region\)"),
        (
            {"regions": "given"},
            (np.ones((2, 4, 4, 3)), np.ones((2, 4, 4))),
            r"region must be \(2, h, w, 1\), one for each image; got \(2, 4, 4\)",
        ),
    ],
)
def test_inputs_that_do_not_fit(options, x, words):
    with pytest.raises(InputError, match=words):
        region_norm(3, **options).apply({}, {}, x, train=True)


def test_options_out_of_range():
    with pytest.raises(InputError, match="kernel_size must be odd; got 4"):
        region_norm(3, kernel_size=4)
    with pytest.raises(InputError, match=r"threshold must lie in \[0, 1\]"):
        region_norm(3, threshold=1.5)
    with pytest.raises(InputError, match=r"learned regions needs init\(key\)"):
        region_norm(3).init()
