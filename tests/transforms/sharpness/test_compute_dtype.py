"""compute_dtype: narrow parameters, perturbed in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core.errors import InputError

W = {"a": np.array([1.0, -2.0], jnp.bfloat16), "b": np.array(0.5, np.float32)}
X = np.array([0.5, 1.0], np.float32)
SGD = optax.sgd(0.125)

METHODS = {
    "sam": jaxopt_lab.sam,
    "asam": jaxopt_lab.asam,
    "samson": jaxopt_lab.samson,
    "gsam": jaxopt_lab.gsam,
    "msam": lambda rho, **o: jaxopt_lab.msam(rho, num_shards=1, **o),
    "multistep_sam": jaxopt_lab.multistep_sam,
    "friendly_sam": jaxopt_lab.friendly_sam,
    "vasso": jaxopt_lab.vasso,
    "esam": jaxopt_lab.esam,
    "looksam": jaxopt_lab.looksam,
    "wsam": lambda rho, **o: jaxopt_lab.wsam(SGD, rho, learning_rate=0.125, **o),
    "lookbehind": lambda rho, **o: jaxopt_lab.lookbehind(SGD, rho, **o),
}


def loss(w, x):
    """Takes both types; in float32 it sees perturbations that bfloat16 loses."""
    return jnp.sum((x * w["a"].astype(jnp.float32)) ** 2) + w["b"] ** 2


def one(tx, w):
    seen = []
    batch = jaxopt_lab.batch_grad(lambda p, x: loss(p, x[0]), X[None])

    class Spy:
        shard, mean = batch.shard, batch.mean

        def __call__(self, p, i=0):
            seen.append(p)
            return batch(p)

    spy = Spy() if not seen else batch
    updates, state = tx.update(batch(w), tx.init(w), w, grad_fn=spy)
    return updates, state, seen


def test_a_small_perturbation_is_not_lost():
    updates, _, (point,) = one(jaxopt_lab.sam(1e-3, compute_dtype=jnp.float32), W)
    assert {k: x.dtype for k, x in point.items()} == dict.fromkeys("ab", jnp.float32)
    g = {"a": 2 * X**2 * np.array([1.0, -2.0]), "b": 1.0}
    norm = np.sqrt(np.sum(g["a"] ** 2) + 1)
    expected = np.array([1.0, -2.0]) + 1e-3 * g["a"] / norm
    np.testing.assert_allclose(point["a"], expected, rtol=1e-6)
    assert updates["a"].dtype == jnp.bfloat16 and updates["b"].dtype == jnp.float32


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_it_and_refuses_without(name):
    run = lambda **o: jax.eval_shape(lambda w: one(METHODS[name](0.1, **o), w)[:2], W)
    updates, state = run(compute_dtype=jnp.float32)
    assert jax.tree.map(lambda u: u.dtype, updates) == jax.tree.map(
        lambda w: w.dtype, W
    )
    wide = {x.dtype for x in jax.tree.leaves(state) if x.ndim}
    assert name not in ("vasso", "friendly_sam") or wide == {np.dtype("float32")}
    words = f"{name} cannot perturb a in bfloat16.*compute_dtype=jnp.float32 if the"
    with pytest.raises(InputError, match=words):
        run()


def test_wide_parameters_do_not_change():
    wide = jax.tree.map(lambda x: x.astype(np.float32), W)
    plain, _, _ = one(jaxopt_lab.sam(0.1), wide)
    cast, _, _ = one(jaxopt_lab.sam(0.1, compute_dtype=jnp.float32), wide)
    assert all(np.array_equal(plain[k], cast[k]) for k in plain)


def test_other_types_are_refused():
    with pytest.raises(InputError, match="compute_dtype must be float32, float64 or"):
        jaxopt_lab.sam(0.1, compute_dtype=jnp.bfloat16)
