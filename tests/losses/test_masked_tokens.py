"""The loss of a masked diffusion: its mean is the likelihood of independent tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses import masked_share, masked_token_loss, masked_token_metrics

MASK, TOKENS = 3, 3
P = np.array([0.5, 0.3, 0.2])
TEXT = np.random.default_rng(0).integers(0, TOKENS, (16, 40)).astype(np.int32)


def model(seen=None):
    """Independent tokens with the chances ``P``; keeps what it was given."""

    def apply(params, state, x, *, train, key=None):
        if seen is not None:
            seen.append(x)
        logits = jnp.log(jnp.append(jnp.asarray(P), 1e-9)) + params
        return jnp.broadcast_to(logits[None, None], (*x.shape, 4)), state

    return Functional(None, apply)  # type: ignore[arg-type]


def test_the_mean_is_the_negative_log_likelihood_of_independent_tokens():
    loss_fn = masked_token_loss(model(), mask=MASK)
    batch = {"inputs": jnp.asarray(TEXT)}

    @jax.jit
    def losses(keys):
        one = lambda key: loss_fn(jnp.zeros(4), {}, batch, key)[0]
        return jax.lax.map(one, keys)

    found = np.asarray(losses(jax.random.split(jax.random.key(0), 400)))
    wanted, error = -np.log(P)[TEXT].mean(), found.std() / 20
    assert abs(found.mean() - wanted) < 3.3 * error and error < 0.02 * wanted


def test_masks_have_the_share_of_their_row_and_shares_are_uniform():
    draw = jax.jit(jax.vmap(lambda key: masked_share(key, (8, 50))))
    t, masks = map(np.asarray, draw(jax.random.split(jax.random.key(1), 500)))
    assert np.all((t > 0) & (t <= 1))
    # One in each eighth, and all places alike.
    assert np.all(np.diff(np.sort(np.ceil(8 * t - 1e-5), axis=1)) <= 1 + 1e-6)
    assert np.abs(t.mean(0) - 0.5).max() < 3.3 * 12**-0.5 / 500**0.5
    deviation = (masks.mean(2) - t) / np.sqrt(np.maximum(t * (1 - t), 1e-6) / 50)
    assert abs(deviation.mean()) < 0.06


def test_masked_tokens_are_hidden_and_others_give_no_loss():
    seen = []
    loss_fn = masked_token_loss(
        model(seen),
        mask=MASK,
        loss=lambda params, z, y: jnp.where(y == 0, jnp.nan, 1.0),
    )
    _, masks = masked_share(jax.random.split(jax.random.key(2))[0], TEXT.shape)
    text = jnp.where(masks, 1, 0)
    run = jax.jit(lambda text, key: (loss_fn(jnp.zeros(4), {}, text, key), seen[-1]))
    (loss, (_, metrics)), given = run({"inputs": text}, jax.random.key(2))
    np.testing.assert_array_equal(given, jnp.where(masks, MASK, 0))
    assert np.isfinite(loss) and float(metrics["accuracy"]) == 0


def test_padding_counts_for_nothing_in_metrics():
    metrics = jax.jit(masked_token_metrics(model(), mask=MASK))
    weight = np.r_[np.ones(10), np.zeros(6)]
    given = {"inputs": TEXT, "weight": weight}
    other = {"inputs": np.where(weight[:, None], TEXT, 1), "weight": weight}
    one, two = (metrics(jnp.zeros(4), {}, batch) for batch in (given, other))
    for name in ("loss", "accuracy", "weight"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-6)
    assert float(one["weight"]) == 10 and 0 <= float(one["accuracy"]) <= 10


def test_bad_input():
    with pytest.raises(InputError, match="mask must be a whole number"):
        masked_token_loss(model(), mask=-1)
    with pytest.raises(InputError, match="the batch has no 'inputs'"):
        masked_token_loss(model(), mask=3)(0, {}, {"image": 1}, jax.random.key(0))
