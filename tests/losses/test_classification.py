"""Losses and evaluation sums against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training.adapters import Functional

KEY = jax.random.key(0)


def linear(dtype=jnp.float32):
    """Logits ``x @ w``; the state counts training calls."""

    def init(key):
        return {"w": jax.random.normal(key, (4, 3), dtype)}, {"n": jnp.int32(0)}

    def apply(params, model_state, inputs, *, train, key=None):
        x = inputs.astype(dtype).reshape(*inputs.shape[:1], -1, 4)
        logits = jnp.einsum("btf,fc->btc", x, params["w"])
        logits = logits[:, 0] if inputs.ndim == 2 else logits
        return logits, {"n": model_state["n"] + train}

    return Functional(init, apply)


def tokens():
    """Logits are the rows of a table."""

    def apply(params, model_state, inputs, *, train, key=None):
        return params["table"][inputs], model_state

    return Functional(lambda key: ({}, {}), apply)


def numpy_nll(logits, labels):
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None], -1)[..., 0], log_p


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(6, 4)).astype(np.float32),
        "label": rng.integers(0, 3, 6).astype(np.int32),
    }


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_cross_entropy_is_that_of_numpy(dtype):
    rng = np.random.default_rng(1)
    logits = jnp.asarray(rng.normal(size=(5, 2, 7)) * 10, dtype)
    labels = rng.integers(0, 7, (5, 2))
    got = losses.cross_entropy(logits, jnp.asarray(labels, jnp.uint8))
    assert got.dtype == (jnp.float64 if dtype == jnp.float64 else jnp.float32)
    tolerance = 1e-12 if dtype == jnp.float64 else 1e-5
    expected, _ = numpy_nll(logits, labels)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_label_smoothing_is_the_formula():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(5, 7)), rng.integers(0, 7, 5)
    target = 0.8 * np.eye(7)[labels] + 0.2 / 7
    _, log_p = numpy_nll(logits, labels)
    got = losses.cross_entropy(jnp.asarray(logits), jnp.asarray(labels), 0.2)
    np.testing.assert_allclose(got, -(target * log_p).sum(-1), rtol=1e-12)
    traced = jax.jit(losses.cross_entropy)(
        jnp.asarray(logits, jnp.float32), jnp.asarray(labels), jnp.float64(0.2)
    )
    np.testing.assert_allclose(traced, got, rtol=1e-5)
    assert traced.dtype == jnp.float32


def test_labels_out_of_range_give_nan():
    got = losses.cross_entropy(jnp.zeros((3, 2)), jnp.array([0, 2, -1]))
    np.testing.assert_array_equal(jnp.isnan(got), [False, True, True])


def test_huge_logits_stay_finite():
    logits = jnp.array([[1e30, -1e30]], jnp.float32)
    loss, grad = jax.value_and_grad(
        lambda x: jnp.sum(losses.cross_entropy(x, jnp.array([0])))
    )(logits)
    assert float(loss) == 0
    assert jnp.all(jnp.isfinite(grad))


def test_classification_loss(batch):
    model = linear()
    params, state = model.init(KEY)
    loss_fn = jax.jit(losses.classification_loss(model))
    loss, (new_state, metrics) = loss_fn(params, state, batch, KEY)
    logits = batch["image"] @ np.asarray(params["w"])
    expected, _ = numpy_nll(logits, batch["label"])
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-6)
    hits = (logits.argmax(-1) == batch["label"]).mean()
    np.testing.assert_allclose(metrics["accuracy"], hits, rtol=1e-6)
    assert loss.dtype == metrics["accuracy"].dtype == jnp.float32
    assert set(metrics) == {"accuracy"}
    assert int(new_state["n"]) == 1


@pytest.mark.full
def test_float64_stays_and_the_mean_over_halves_is_the_mean(batch):
    model = linear(jnp.float64)
    params, state = model.init(KEY)
    loss_fn = losses.classification_loss(model, label_smoothing=0.1)
    whole, (_, metrics) = loss_fn(params, state, batch, KEY)
    assert whole.dtype == metrics["accuracy"].dtype == jnp.float64
    halves = [
        loss_fn(params, state, {k: v[i : i + 3] for k, v in batch.items()}, KEY)[0]
        for i in (0, 3)
    ]
    np.testing.assert_allclose(whole, np.mean(halves), rtol=1e-14)


@pytest.mark.full
def test_integer_images_are_scaled_and_prepare_replaces_that(batch):
    model = linear()
    params, state = model.init(KEY)
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 4) * 10
    raw = {**batch, "image": jnp.asarray(pixels)}
    scaled = {**batch, "image": jnp.asarray(pixels / np.float32(255), jnp.float32)}
    loss = lambda b, **kw: losses.classification_loss(model, **kw)(
        params, state, b, KEY
    )[0]
    np.testing.assert_allclose(loss(raw), loss(scaled), rtol=1e-6)
    own = lambda x: x.astype(jnp.float32) / jnp.float32(51)
    times5 = {**batch, "image": scaled["image"] * np.float32(5)}
    np.testing.assert_allclose(loss(raw, prepare=own), loss(times5), rtol=1e-5)
    sums = losses.classification_metrics(model, prepare=own)(params, state, raw)
    np.testing.assert_allclose(sums["loss"] / sums["weight"], loss(times5), rtol=1e-5)


def test_metrics_honour_weights_whatever_the_padding_holds(batch):
    model = linear()
    params, state = model.init(KEY)
    metric_fn = jax.jit(losses.classification_metrics(model))
    plain = metric_fn(params, state, batch)
    assert float(plain["weight"]) == 6
    padding = np.full((2, 4), np.nan, np.float32)
    padded = {
        "image": np.concatenate([batch["image"], padding]),
        "label": np.concatenate([batch["label"], [0, 99]]).astype(np.int32),
        "weight": np.array([1] * 6 + [0] * 2, np.float32),
    }
    got = metric_fn(params, state, padded)
    for name in ("loss", "accuracy", "weight"):
        np.testing.assert_allclose(got[name], plain[name], rtol=1e-6)
    expected, _ = numpy_nll(batch["image"] @ np.asarray(params["w"]), batch["label"])
    np.testing.assert_allclose(plain["loss"], expected.sum(), rtol=1e-6)
    weights = np.array([1, 0, 2, 0, 1, 1])
    weighted = metric_fn(params, state, {**batch, "weight": weights})
    np.testing.assert_allclose(weighted["loss"], (weights * expected).sum(), rtol=1e-6)
    assert float(weighted["weight"]) == 5


def test_next_token_loss_and_metrics():
    rng = np.random.default_rng(3)
    params = {"table": jnp.asarray(rng.normal(size=(5, 5)), jnp.float32)}
    batch = {
        "inputs": rng.integers(0, 5, (3, 4)),
        "targets": rng.integers(0, 5, (3, 4)).astype(np.uint8),
    }
    logits = np.asarray(params["table"])[batch["inputs"]]
    expected, _ = numpy_nll(logits, batch["targets"].astype(int))
    hits = logits.argmax(-1) == batch["targets"]
    loss, (_, metrics) = losses.next_token_loss(tokens())(
        params, {}, jax.tree.map(jnp.asarray, batch), KEY
    )
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["accuracy"], hits.mean(), rtol=1e-6)
    sums = losses.next_token_metrics(tokens())(
        params, {}, {**jax.tree.map(jnp.asarray, batch), "weight": jnp.array([1, 1, 0])}
    )
    np.testing.assert_allclose(sums["loss"], expected[:2].mean(1).sum(), rtol=1e-6)
    np.testing.assert_allclose(sums["accuracy"], hits[:2].mean(1).sum(), rtol=1e-6)
    assert float(sums["weight"]) == 2


def test_traced_once(batch):
    traces = []
    model = linear()

    def apply(*args, **kwargs):
        traces.append(1)
        return model.apply(*args, **kwargs)

    params, state = model.init(KEY)
    loss_fn = jax.jit(losses.classification_loss(Functional(model.init, apply)))
    for _ in range(3):
        _, (state, _) = loss_fn(params, state, batch, KEY)
    assert len(traces) == 1


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_smoothing_out_of_range(rate):
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        losses.classification_loss(linear(), label_smoothing=rate)


def test_bad_batches_are_named(batch):
    model = linear()
    params, state = model.init(KEY)
    loss_fn = losses.classification_loss(model)
    with pytest.raises(InputError, match="no 'label'; it has image"):
        loss_fn(params, state, {"image": batch["image"]}, KEY)
    with pytest.raises(InputError, match="no 'image'"):
        loss_fn(params, state, {"label": batch["label"]}, KEY)
    with pytest.raises(InputError, match=r"\(6, 3\) do not fit labels of shape \(5,\)"):
        loss_fn(params, state, {**batch, "label": batch["label"][:5]}, KEY)
    floats = {**batch, "label": batch["label"].astype(np.float32)}
    with pytest.raises(InputError, match="labels must be integers; got dtype float32"):
        loss_fn(params, state, floats, KEY)
    metric_fn = losses.classification_metrics(model)
    with pytest.raises(InputError, match=r"weight must have shape \(6,\)"):
        metric_fn(params, state, {**batch, "weight": jnp.ones((6, 1))})
