"""A weight, activation or curvature that is not finite shows in every diagnostic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab import curvature, diagnostics
from jaxopt_lab.curvature.stability import batch_hessian, polyak, thresholds
from jaxopt_lab.transforms.temp_balance import scale_by_temp_balance

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype("float32")
MATRIX = KERNEL.reshape(12, 24)


def broken(x, bad):
    """``x`` with its last number, which no window of FARMS may cover, replaced."""
    x = jnp.asarray(x)
    return x.at[(-1,) * x.ndim].set(bad)


OF_WEIGHTS = {
    "farms": lambda w: diagnostics.layer_spectrum(w(MATRIX), rows=5),
    "farms_few_windows": lambda w: diagnostics.layer_spectrum(
        w(MATRIX), rows=2, windows=2, aspect=3.0
    ),
    "blocks": lambda w: diagnostics.layer_spectrum(w(KERNEL)),
    "full": lambda w: diagnostics.layer_spectrum(w(MATRIX), sampling="full"),
    "goodness_of_fit": lambda w: diagnostics.layer_spectrum(
        w(MATRIX), fit="goodness-of-fit"
    ),
    "layer_spectra": lambda w: diagnostics.layer_spectra({"w": w(MATRIX)})["w"],
    "filter_quality": lambda w: diagnostics.filter_quality(w(KERNEL)),
    "filter_shift": lambda w: diagnostics.filter_shift(
        w(KERNEL.reshape(-1, 9)), jnp.asarray(KERNEL.reshape(-1, 9))
    ),
    "nuclear_norm": lambda w: diagnostics.nuclear_norm(w(MATRIX)),
    "column_norm_sum": lambda w: diagnostics.column_norm_sum(w(MATRIX)),
    "matrix_entropy": lambda w: diagnostics.matrix_entropy(w(MATRIX)),
    "tokens": lambda w: diagnostics.token_matrix_metrics(w(MATRIX)),
}
OF_NUMBERS = {
    "stability_ratio": lambda x: curvature.stability_ratio(x, 0.1),
    "batch_eigenvalue": lambda x: batch_hessian.batch_eigenvalue(x, 1.0, 10, 4),
    "critical_batch_size": lambda x: batch_hessian.critical_batch_size(x, 1.0, 10),
    "sgd": lambda x: batch_hessian.sgd_max_learning_rate(x, 1.0, 10, 4),
    "adam": lambda x: batch_hessian.adam_max_learning_rate(0.1, 4, x, 1.0, 10, 8),
    "polyak": lambda x: polyak.polyak(jnp.asarray(x), 1.0),
    "threshold": lambda x: thresholds._over(jnp.float32(1), jnp.float32(x)),
    "effective_rank": lambda x: curvature.effective_rank(np.array([1.0, x])),
    "lla_criteria": lambda x: curvature.lla_criteria(
        np.array([1.0, x]), np.array([0.5, x])
    )[:2],
}


def numbers(found):
    """Those of a result that are no counts."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(found)]
    return [leaf for leaf in leaves if leaf.dtype.kind == "f"]


PLAIN = ["farms_few_windows-nan", "blocks-nan", "full-inf", "filter_quality-nan"]


@pytest.mark.full(plain=PLAIN)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_of_weights(name, bad):
    found = numbers(jax.jit(lambda: OF_WEIGHTS[name](lambda x: broken(x, bad)))())
    assert found and not any(np.isfinite(x).any() for x in found)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_of_numbers(name):
    found = numbers(OF_NUMBERS[name](float("nan")))
    assert found and all(np.isnan(x).all() for x in found)


@pytest.mark.full
def test_temp_balance_shows_a_layer_that_is_not_finite():
    names = "abcdef"
    params = {n: {"w": jnp.asarray(MATRIX) ** (1 + i)} for i, n in enumerate(names)}
    tx = optax.chain(optax.sgd(0.1), scale_by_temp_balance())
    healthy = diagnostics.refresh_temp_balance(tx.init(params), params)
    params["c"]["w"] = broken(params["c"]["w"], jnp.nan)
    state = diagnostics.refresh_temp_balance(tx.init(params), params)
    exponents = {n: state[1].exponents[n]["w"] for n in names}
    assert jnp.isnan(exponents["c"])
    for name in "abdef":
        assert exponents[name] == healthy[1].exponents[name]["w"]
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert jnp.isnan(updates["c"]["w"]).all()
    assert jnp.isfinite(updates["d"]["w"]).all()


def _loss(w, batch):
    """Finite, with a gradient and a Hessian that are not."""
    return jnp.sum(jnp.sqrt(jnp.abs(w))) + 0 * jnp.sum(batch)


def test_a_probe_of_a_hessian_that_is_not_finite():
    found = curvature.probe(
        _loss,
        jnp.zeros(3),
        [jnp.ones(2)],
        jax.random.key(0),
        what=("top", "bottom", "trace", "density", "layers"),
        num_steps=3,
        num_probes=2,
        learning_rate=0.1,
    )
    measured = {n: x for n, x in found.scalars.items() if "steps" not in n}
    measured.pop("top_matvecs")
    assert len(measured) > 8
    assert not np.isfinite(list(measured.values())).any(), measured
    for name in ("density", "density_grid", "density_nodes"):
        assert np.isnan(found.arrays[name]).all()


@pytest.mark.full
def test_measures_of_a_batch_that_is_not_finite():
    def loss(w, batch):
        return jnp.mean(batch) * w**2 / 2

    batches = [jnp.ones(2), jnp.array([1.0, jnp.nan])]
    w = jnp.array(1.0)
    assert np.isnan(curvature.batch_sharpness(loss, w, batches).value)
    assert np.isnan(curvature.noise_scale(loss, w, batches).value)
    assert np.isnan(curvature.epsilon_sharpness(loss, w, batches, steps=1).value)
    assert np.isnan(curvature.sam_sharpness(loss, w, batches))
