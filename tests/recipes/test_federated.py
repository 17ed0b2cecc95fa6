"""Federated rounds: one client is plain training, means by shares, masks stay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab import losses
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_federated, make_federated_step
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3))
BATCH = {"image": RNG.normal(size=(12, 4)), "label": RNG.integers(0, 3, 12)}
KEY, TX = jax.random.key(0), optax.adamw(0.1, weight_decay=0.1)


def apply(params, state, x, *, train, key=None):
    return x @ params, {"count": state["count"] + 1, "mean": jnp.mean(x, 0)}


NETWORK = Functional(lambda key: (W, {}), apply)
STATE = {"count": jnp.zeros((), jnp.int32), "mean": jnp.zeros(4)}


def plain(params, state, batch, key):
    logits, state = apply(params, state, batch["image"], train=True)
    return jnp.mean(losses.cross_entropy(logits, batch["label"])), (state, {})


def test_a_round_is_the_mean_of_clients_and_one_client_is_plain_training():
    mask = RNG.random(size=(4, 3)) < 0.6

    @jax.jit
    def run(params, mask):
        make = lambda **options: make_federated_step(NETWORK, TX, **options)
        start = init_federated(TX, params, KEY, model_state=STATE)
        alone = make(clients=1)(start, BATCH)
        wanted = make_train_step(plain, TX)(init_state(TX, params, KEY, STATE), BATCH)
        mean = make(clients=3, local_steps=2, shares=[1, 2, 5], reset=True)(
            start, BATCH
        )
        sparse = init_federated(TX, params, KEY, model_state=STATE, mask=mask)
        sparse, _ = make(clients=3)(sparse, BATCH)
        return alone, wanted, mean, sparse

    (alone, told), (wanted, metrics), (mean, means), sparse = run(W, mask)
    np.testing.assert_array_equal(alone.params["model"], wanted.params)
    np.testing.assert_array_equal(told["loss"], metrics["loss"])
    jax.tree.map(
        np.testing.assert_array_equal, alone.opt_state["model"], wanted.opt_state
    )
    each, seen = [], []
    for c in range(3):
        w, state = jnp.asarray(W), TX.init(jnp.asarray(W))
        for s in range(2):
            at = slice(4 * c + 2 * s, 4 * c + 2 * s + 2)
            part = {name: x[at] for name, x in BATCH.items()}
            (loss, _), g = jax.value_and_grad(plain, has_aux=True)(w, STATE, part, None)
            up, state = TX.update(g, state, w)
            w = optax.apply_updates(w, up)
            seen.append(float(loss) * (1, 2, 5)[c] / 16)
        each.append(np.asarray(w) * (1, 2, 5)[c] / 8)
    np.testing.assert_allclose(mean.params["model"], sum(each), rtol=1e-9)
    np.testing.assert_allclose(means["loss"], sum(seen), rtol=1e-9)
    assert int(mean.model_state["model"]["count"]) == 2 and int(mean.step) == 1
    last = [BATCH["image"][4 * c + 2 : 4 * c + 4].mean(0) for c in range(3)]
    statistics = np.average(last, axis=0, weights=[1, 2, 5])
    np.testing.assert_allclose(mean.model_state["model"]["mean"], statistics, rtol=1e-9)
    for tree in (
        sparse.params["model"],
        *jax.tree.leaves(sparse.opt_state["model"])[1:],
    ):
        assert not np.any(np.asarray(tree)[~mask]) and np.all(np.asarray(tree)[mask])
    np.testing.assert_array_equal(sparse.model_state["mask"], mask)


def call(**options):
    def run():
        step = make_federated_step(NETWORK, TX, **options)
        start = init_federated(TX, W, KEY, model_state=STATE)
        jax.eval_shape(lambda: step(start, BATCH))

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (call(clients=0), "clients must be"),
        (call(clients=5), "clients=5 times local_steps=1 must divide the batch"),
        (call(clients=2, shares=[1]), "shares must be 2 numbers of at least 0"),
        (call(clients=2, shares=[0, 0]), "not all 0"),
        (call(clients=2, label="class"), "the batch has no 'class'"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
