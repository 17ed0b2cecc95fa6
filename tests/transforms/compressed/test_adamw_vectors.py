"""AdamW with coded moments against recorded steps of bitsandbytes and torchao."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import vectors

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.transforms.compressed.adamw_quantized import (
    adamw4bit,
    adamw8bit,
    adamw_fp8,
)

METHODS = {"4bit": adamw4bit, "8bit": adamw8bit, "fp8 ": adamw_fp8}


def select_as_recorded(meta):
    """torchao codes tensors that come out even, bitsandbytes all large ones."""
    options = meta["hyperparameters"]
    least = options.get("min_size", options.get("min_8bit_size"))
    even = "min_size" in options

    def select(path, leaf):
        size = int(np.prod(leaf.shape))
        if size < least or (even and size % options["block_size"]):
            return None
        return "m" if "mu" in path else "v" if "nu" in path else None

    return select


@functools.cache
def replayed(name):
    """Parameters and states after each recorded step, and the case."""
    file = np.load(vectors.VECTORS / "adam_lowbit" / f"{name}.npz")
    meta = vectors.load("adam_lowbit", name).meta
    options = meta["hyperparameters"]
    b1, b2 = options["betas"]
    tx = METHODS[meta["scheme"][:4]](
        options["lr"],
        b1=b1,
        b2=b2,
        eps=options["eps"],
        weight_decay=options["weight_decay"],
        round_to_zero=True,
        block=options["block_size"],
        select=select_as_recorded(meta),
        chunk=256,
    )
    names = [k.split("/")[1] for k in file.files if k.startswith("init/")]
    params = {k: jnp.asarray(file[f"init/{k}"]) for k in names}
    state, update, after = tx.init(params), jax.jit(tx.update), []
    for t in range(meta["steps"]):
        grads = {k: jnp.asarray(file[f"grads/{t}/{k}"]) for k in names}
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        after.append((params, state))
    return meta, dict(file), after


CASES = [c for c in vectors.cases("adam_lowbit") if c != "codebooks"]


@pytest.mark.full(plain=["ao4_default"])
@pytest.mark.parametrize("name", CASES)
def test_parameters(name):
    meta, file, after = replayed(name)
    rate = meta["hyperparameters"]["lr"]
    for t, (params, _) in enumerate(after):
        for k, got in params.items():
            wanted = file[f"params/{t}/{k}"]
            error = np.abs(np.asarray(got) - wanted)
            near = error <= 2e-6 + 1e-4 * np.abs(wanted)
            assert near.mean() >= 0.995, f"step {t}, {k}: {near.mean()}"
            assert error.max() <= 0.3 * rate * (t + 1), f"step {t}, {k}"


def side_by_side(packed, block):
    """Our packed codes in torchao's order, neighbours in one byte."""
    flat = np.asarray(packed).reshape(-1, block // 2)
    ordered = np.concatenate([flat >> 4, flat & 15], axis=1).reshape(-1, 2)
    return (ordered[:, 0] << 4) | ordered[:, 1]


@pytest.mark.full(plain=["aofp8_default", "bnb8_zero_grads"])
@pytest.mark.parametrize("name", CASES)
def test_codes_and_scales(name):
    meta, file, after = replayed(name)
    block, kind = meta["hyperparameters"]["block_size"], meta["scheme"][:4]
    seen = 0
    for key, wanted in file.items():
        if not key.startswith("state/") or "/m_codes/" not in key:
            continue
        _, t, _, k = key.split("/")
        for moment, field in (("m", "mu"), ("v", "nu")):
            state = after[int(t)][1]
            got = np.asarray(getattr(state.inner, field)[k])
            wanted = file[f"state/{t}/{moment}_codes/{k}"]
            if kind == "4bit":
                got = side_by_side(got, block)
            if kind == "fp8 ":
                codec = codes.FloatingPoint8(block)
                coded = codes.EncodedArray(
                    jnp.asarray(got), jnp.ones(got.size // block), None
                )
                got = np.asarray(codec.decode(coded, wanted.shape, jnp.float32))
            same = got.reshape(-1) == wanted.reshape(-1)
            assert same.mean() >= 0.995, f"step {t}, {moment} {k}: {same.mean()}"
            name = "absmax" if f"state/{t}/m_absmax/{k}" in file else "scale"
            scales = np.asarray(getattr(state.scales, field)[k]).reshape(-1)
            recorded = file[f"state/{t}/{moment}_{name}/{k}"]
            np.testing.assert_allclose(scales, recorded, rtol=2e-4)
            seen += 1
    assert seen
