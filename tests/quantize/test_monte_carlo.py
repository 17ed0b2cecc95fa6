"""Monte Carlo quantization: recorded counts, their sum, their mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import monte_carlo


def test_the_recorded_counts_in_float64_and_float32():
    with np.load(VECTORS / "mcq" / "A.npz") as file:
        arrays = {key: file[key] for key in file.files}
    counts = {key: value for key, value in arrays.items() if key.startswith("hits/")}

    def settings(name):
        samples, kind, offset = name.removeprefix("hits/").split("_")
        return float(samples[1:]), kind == "sorted", float(offset[2:])

    wanted = ((0.25, True, 0.37), (4, False, 0.0), (1, True, 0.5))
    chosen = {n: v for n, v in counts.items() if settings(n) in wanted}

    @jax.jit
    def all_of(weight):
        return [
            monte_carlo(w, samples=k, sort=sort, offset=xi).qvalue
            for k, sort, xi in map(settings, chosen)
            for w in (weight, weight.astype(jnp.float32))
        ]

    found = iter(all_of(arrays["init/w"]))
    assert len(chosen) == 3
    for name, value in chosen.items():
        for _ in range(2):
            np.testing.assert_array_equal(next(found), value, err_msg=name)


def test_counts_add_up_and_are_unbiased_over_the_offset():
    weight = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    offsets = (np.arange(400) + 0.5) / 400
    coded = jax.jit(jax.vmap(lambda xi: monte_carlo(weight, samples=1.5, offset=xi)))(
        jnp.asarray(offsets, jnp.float32)
    )
    assert (np.abs(coded.qvalue).sum((1, 2)) == 30).all()
    values = np.asarray(coded.qvalue * coded.scale)
    # A count of each offset differs from its mean by less than one.
    half = float(coded.scale[0, 0, 0]) / 400
    np.testing.assert_allclose(values.mean(0), weight, atol=2 * half)


def test_zeros_stay_zeros():
    coded = jax.jit(monte_carlo)(jnp.zeros((2, 3)))
    assert not np.any(coded.qvalue) and float(coded.scale[0, 0]) == 0


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: monte_carlo(jnp.ones(3, int)), "real floating array"),
        (lambda: monte_carlo(jnp.ones(0)), "not empty"),
        (lambda: monte_carlo(jnp.ones(3), samples=0.1), "no sample for 3 weights"),
        (lambda: monte_carlo(jnp.ones(3), samples=0.0), "samples"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
