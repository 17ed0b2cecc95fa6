"""MicroAdam against recorded steps."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import replay, vectors

from jaxopt_lab.transforms.compressed.microadam import microadam, scale_by_microadam

CASES = vectors.cases("microadam")
EXACT = [name for name in CASES if name.startswith("f64")]
NARROW = [name for name in CASES if name.startswith("bf16")]


def options(case):
    given = case.meta["hyperparameters"]
    return {
        "window": given["m"],
        "density": given["density"],
        "block_size": given["topk_block"],
        "quant_block": given["quant_block"],
        "b1": given["betas"][0],
        "b2": given["betas"][1],
        "eps": given["eps"],
        "densify": given["alpha"],
    }


def optimizer(case, **more):
    given = case.meta["hyperparameters"]
    rest = {"weight_decay": given["weight_decay"], **more}
    return microadam(given["lr"], **options(case), **rest)


@functools.cache
def exact(name, chunk):
    case, states = vectors.load("microadam", name), {}
    after, _ = replay.replay(
        case, optimizer(case, chunk=chunk), visit=states.__setitem__
    )
    return case, after, states


# A chunk of one unit: every tensor of several blocks goes through the loop.
@pytest.mark.full(plain=["f64_default_small-None"])
@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize("name", EXACT)
def test_parameters(name, chunk):
    case, after, _ = exact(name, chunk)
    worst = replay.worst(case, after)
    print(f"{name}: {worst:.1e}")
    assert worst <= 1e-10


@pytest.mark.full(plain=["f64_default_small"])
@pytest.mark.parametrize("name", EXACT)
def test_state(name):
    case, _, states = exact(name, None)
    block = case.meta["hyperparameters"]["topk_block"]
    quant = case.meta["hyperparameters"]["quant_block"]
    seen = 0
    for key, wanted in case.arrays.items():
        if not key.startswith("state/"):
            continue
        _, t, what, k = key.split("/")
        state = states[int(t)]
        if what in ("min", "max"):
            kept = state.low[k] if what == "min" else state.high[k]
            np.testing.assert_allclose(kept.reshape(-1), wanted, atol=1e-10)
        elif what == "codes":
            size = case.init[k].size
            got = unpacked(state.error[k], size, min(quant, size))
            np.testing.assert_array_equal(got, wanted)
        else:
            dense = np.zeros(case.init[k].size)
            if what[0] == "I":
                dense[wanted] = case.arrays[f"state/{t}/V{what[1:]}/{k}"]
                got = scattered(state, k, int(what[1:]), block, dense.size)
                np.testing.assert_allclose(got, dense, atol=1e-10)
        seen += 1
    assert seen


def unpacked(codes, size, block):
    """Codes one by one; ours pair the halves of a block."""
    half = -(-block // 2)
    pairs = np.asarray(codes).reshape(-1, half)
    apart = np.concatenate([pairs >> 4, pairs & 15], axis=1)[:, :block]
    return apart.reshape(-1)[:size]


def scattered(state, k, row, block, size):
    """One row of the window as a vector."""
    block, dense = min(block, size), np.zeros(size)
    for number in range(state.values[k].shape[0]):
        places = number * block + np.asarray(state.indices[k][number, row], np.int64)
        np.add.at(dense, places, np.asarray(state.values[k][number, row]))
    return dense


@pytest.mark.full
@pytest.mark.parametrize("name", ["f64_m4_k5pct_wd", "f64_dense_alpha"])
def test_the_link_in_a_chain_is_the_optimizer(name):
    case = vectors.load("microadam", name)
    given = case.meta["hyperparameters"]
    tx = optax.chain(
        scale_by_microadam(**options(case)),
        optax.add_decayed_weights(given["weight_decay"]),
        optax.scale_by_learning_rate(given["lr"]),
    )
    after, _ = replay.replay(case, tx)
    assert replay.worst(case, after) <= 1e-10


def narrow(x):
    """Rounded to bfloat16, as float32."""
    return np.asarray(x, np.float32).astype(jnp.bfloat16).astype(np.float32)


def directions_in_float32(case):
    """The directions of every step, plainly, with a window and ranges in bfloat16."""
    given, kept = case.meta["hyperparameters"], {}
    window, quant = given["m"], given["quant_block"]

    def decoded(codes, ranges):
        low, high = ranges
        return codes * ((high - low) / np.float32(15)) + low

    def encoded(x):
        blocks = [x[i : i + quant] for i in range(0, x.size, quant)]
        out = []
        for block in blocks:
            low, high = narrow(block.min()), narrow(block.max())
            step = (high - low) / np.float32(15)
            level = np.floor((block - low) / step + 0.5) if step else 0 * block
            out.append((np.clip(level, 0, 15), (low, high)))
        return out

    for t in range(case.meta["steps"]):
        found = {}
        for k, p in case.init.items():
            error, ring = kept.setdefault(k, [np.zeros(p.size, np.float32), []])
            a = case.arrays[f"grads/{t}/{k}"].astype(np.float32).reshape(-1) + error
            places = []
            for i in range(0, p.size, given["topk_block"]):
                block = np.abs(a[i : i + given["topk_block"]])
                picks = math.ceil(block.size * given["density"])
                places.append(i + np.argsort(-block, kind="stable")[:picks])
            places = np.concatenate(places)
            ring[:] = [(places, narrow(a[places])), *ring][:window]
            a[places] = 0
            parts = [decoded(*pair) for pair in encoded(a)]
            mean, square = np.zeros(p.size, np.float32), np.zeros(p.size, np.float32)
            for age, (where, values) in enumerate(ring):
                for total, b, x in zip(
                    (mean, square), given["betas"], (values, values**2), strict=True
                ):
                    total[where] += (
                        np.float32((1 - b) * b**age / (1 - b ** (t + 1))) * x
                    )
            found[k] = mean / (np.sqrt(square) + np.float32(given["eps"]))
            error = np.concatenate(parts)
            if given["alpha"]:
                found[k] += np.float32(given["alpha"]) * error
                rest = (np.float32(1) - np.float32(given["alpha"])) * error
                error = np.concatenate([decoded(*pair) for pair in encoded(rest)])
            kept[k][0] = error
            found[k] = found[k].reshape(p.shape)
        yield found


@pytest.mark.full
@pytest.mark.parametrize("name", EXACT)
def test_float32(name):
    case = vectors.load("microadam", name)
    tx = scale_by_microadam(**options(case))
    state, update = tx.init(vectors.cast(case.init, jnp.float32)), jax.jit(tx.update)
    for t, wanted in enumerate(directions_in_float32(case)):
        grads = {k: case.arrays[f"grads/{t}/{k}"] for k in case.init}
        got, state = update(vectors.cast(grads, jnp.float32), state)
        for k, value in got.items():
            assert value.dtype == jnp.float32
            near = np.isclose(np.asarray(value), wanted[k], rtol=1e-3, atol=1e-5)
            far = (~near).sum()
            assert far <= max(1, 0.01 * near.size), f"{k}, step {t}: {far}"
        # Then 1 - alpha times a minimum lies between two bfloat16 numbers exactly.
        if case.meta["hyperparameters"]["alpha"] and t == 2:
            break
    assert state.values["b"].dtype == state.low["b"].dtype == jnp.uint16


@functools.cache
def official(name):
    """Steps of our link, applied with the official code's roundings to bfloat16."""
    case = vectors.load("microadam", name)
    given, after = case.meta["hyperparameters"], []
    tx = scale_by_microadam(**options(case))
    params = vectors.cast(case.init, jnp.bfloat16)
    state, update = tx.init(params), jax.jit(tx.update)
    for grads in replay.recorded_gradients(case, jnp.bfloat16):
        direction, state = update(grads, state)
        for k, u in direction.items():
            assert u.dtype == jnp.bfloat16
            p = narrow(
                narrow(params[k]) * np.float32(1 - given["lr"] * given["weight_decay"])
            )
            p = p - np.float32(given["lr"]) * narrow(u)
            params = {**params, k: jnp.asarray(p, jnp.bfloat16)}
        after.append((params, state))
    return case, after


@pytest.mark.full
@pytest.mark.parametrize("name", NARROW)
def test_bfloat16_states_of_the_official_driver(name):
    case, after = official(name)
    given, seen = case.meta["hyperparameters"], 0
    for t in (0, 1):
        state = after[t][1]
        for k in case.init:
            size = case.init[k].size
            for what, kept in (("min", state.low[k]), ("max", state.high[k])):
                wanted = case.arrays[f"state/{t}/{what}/{k}"][: kept.size]
                got = np.asarray(kept).reshape(-1).view(jnp.bfloat16)
                np.testing.assert_array_equal(got.astype(np.float32), wanted)
            bytes_ = case.arrays[f"state/{t}/error_packed/{k}"]
            wanted = np.stack([bytes_ >> 4, bytes_ & 15], axis=1).reshape(-1)[:size]
            got = unpacked(state.error[k], size, min(given["quant_block"], size))
            # The last bit of a product may move a sum off an edge between codes.
            assert (got != wanted).sum() <= max(1, 0.01 * size)
            wanted = case.arrays[f"state/{t}/V/{k}"]
            got = np.asarray(state.values[k]).view(jnp.bfloat16).astype(np.float32)
            for row in range(given["m"]):
                entries = np.sort(got[:, row].reshape(-1))
                entries = entries[entries != 0]
                kept = wanted[row][wanted[row] != 0]
                np.testing.assert_array_equal(entries, np.sort(kept))
            seen += 1
    assert seen == 2 * len(case.init)


@pytest.mark.full
@pytest.mark.parametrize("name", NARROW)
def test_bfloat16_parameters_of_the_official_driver(name):
    case, after = official(name)
    for (params, _), wanted in zip(after, case.params, strict=True):
        for k, value in params.items():
            error = np.abs(narrow(value) - wanted[k])
            assert error.max() <= 1.6e-2 * max(1.5, np.abs(wanted[k]).max())
            assert error.mean() <= 5e-4
    # Equal magnitudes are common in bfloat16, so sums on an edge are too.
    equal = [np.mean(narrow(after[5][0][k]) == case.params[5][k]) for k in case.init]
    assert min(equal) >= 0.9
