"""Programs of the studies against the same steps by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.study import Settings


def test_every_seed_takes_the_steps_of_sgd():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(12, 3)), rng.integers(0, 2, 12)

    def loss(params, batch):
        scores = dense_nets.dense(params, batch[0])
        ces = optax.softmax_cross_entropy_with_integer_labels(scores, batch[1])
        return jnp.mean(ces)

    def run(key, inputs, labels):
        start = dense_nets.dense_params(key, 3, 2)
        at = programs.picks(key, 2, 4, 12)
        end, losses = programs.trained(
            loss, optax.sgd(0.5), start, (inputs[at], labels[at])
        )
        right = dense_nets.accuracy(dense_nets.dense(end, inputs), labels)
        return {"start": start[0], "end": end[0], "at": at, "loss": losses, "r": right}

    def by_hand(kernel, bias, x, y):
        scores = x @ kernel + bias
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        delta = (p - np.eye(2)[y]) / len(y)
        value = -np.mean(np.log(p[np.arange(len(y)), y]))
        return kernel - 0.5 * x.T @ delta, bias - 0.5 * delta.sum(0), value

    with jax.numpy_rank_promotion("allow"):
        found = jax.tree.map(np.asarray, jax.device_get(over(run, inputs, labels)))
    for seed in range(2):
        kernel, bias = (found["start"][n][seed] for n in ("kernel", "bias"))
        for step in range(2):
            at = found["at"][seed, step]
            kernel, bias, value = by_hand(kernel, bias, inputs[at], labels[at])
            np.testing.assert_allclose(found["loss"][seed, step], value, rtol=1e-10)
        np.testing.assert_allclose(found["end"]["kernel"][seed], kernel, rtol=1e-9)
        right = np.mean(np.argmax(inputs @ kernel + bias, 1) == labels)
        np.testing.assert_allclose(found["r"][seed], right, rtol=1e-6)
    assert not np.array_equal(*found["start"]["kernel"])


def over(run, inputs, labels):
    return programs.over_seeds(run, Settings(seeds=2), inputs, labels)


def test_runs_from_given_starts_have_keys_of_their_own():
    init = lambda key: {"w": jax.random.normal(key, (2,))}
    run = lambda start, key, x: (start["w"] * x, jax.random.key_data(key))
    found, keys = programs.over_starts(init, run, Settings(seeds=2, first_seed=3), 2.0)
    for i in range(2):
        own = jax.random.fold_in(jax.random.key(3 + i), 0)
        wanted = 2 * np.asarray(init(own)["w"])
        np.testing.assert_allclose(found[i], wanted, rtol=1e-6)
        assert not np.array_equal(keys[i], jax.random.key_data(own))


def test_normal_numbers_of_one_draw_fill_the_shapes():
    a, b = dense_nets.normals(jax.random.key(0), (2, 3), (4,))
    whole = np.concatenate([np.ravel(a), np.ravel(b)])
    np.testing.assert_array_equal(whole, jax.random.normal(jax.random.key(0), (10,)))


def test_digits_are_flat_and_in_range():
    train, test = programs.digits()
    assert train.inputs.shape == (len(train.labels), 64)
    assert len(train.labels) + len(test.labels) == 1797
    assert float(train.inputs.min()) >= 0 and float(train.inputs.max()) == 1


def test_a_state_goes_from_batch_to_batch():
    def loss(params, state, batch):
        # The second batch sees twice the gradient.
        return state * jnp.sum(params * batch), state + 1

    run = jax.jit(
        lambda batches: programs.trained_with_state(
            loss, optax.sgd(1.0), jnp.zeros(2), jnp.ones(()), batches
        )
    )
    params, state = run(np.array([[1.0, 2.0], [10.0, 20.0]]))
    assert params.tolist() == [-21, -42] and float(state) == 3
