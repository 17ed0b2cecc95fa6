"""Monte Carlo quantization: recorded counts, their sum, their mean."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_digits
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


@pytest.mark.full
def test_four_samples_a_weight_keep_the_accuracy_within_a_point():
    """An MLP on digits, a mean over 10 offsets; -s prints fewer samples, too."""
    data = load_digits()
    train, test = (
        (np.asarray(part["image"], np.float32).reshape(-1, 64), part["label"])
        for part in (data.train, data.test)
    )
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (64, 64), (64, 10)]
    start = [jnp.asarray(rng.normal(size=s) / 8, jnp.float32) for s in sizes]

    def logits(params, x):
        first, second, last = params
        return jax.nn.relu(jax.nn.relu(x @ first) @ second) @ last

    def loss(params, x, y):
        losses = optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y)
        return jnp.mean(losses)

    @jax.jit
    def trained(params, x, y):
        tx = optax.adam(3e-3)

        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, x, y), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), length=300)[0][0]

    @jax.jit
    def accuracies(params, x, y):
        def accuracy(params):
            return jnp.mean(
                (jnp.argmax(logits(params, x), -1) == y).astype(jnp.float32)
            )

        def rounded(samples):
            def one(offset):
                coded = [monte_carlo(w, samples=samples, offset=offset) for w in params]
                return accuracy([c.dequantize() for c in coded])

            return jnp.mean(jax.vmap(one)((jnp.arange(10) + 0.5) / 10))

        return accuracy(params), {k: rounded(k) for k in (0.5, 1.0, 2.0, 4.0)}

    exact, found = accuracies(trained(start, *train), *test)
    shown = ", ".join(f"K = {k:g}: {100 * v:.1f} %" for k, v in found.items())
    print(f"float {100 * exact:.1f} %, {shown}")
    assert exact > 0.9
    assert found[4.0] >= exact - 0.01


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: monte_carlo(jnp.ones(3, int)), "real floating array"),
        (lambda: monte_carlo(jnp.array([1.0, jnp.nan])), "must be finite"),
        (lambda: monte_carlo(jnp.ones(0)), "not empty"),
        (lambda: monte_carlo(jnp.ones(3), samples=0.1), "no sample for 3 weights"),
        (lambda: monte_carlo(jnp.ones(3), samples=0.0), "samples"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
