"""AdamW with linearly coded moments against the quantized pre-training study."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import vectors

from jaxopt_lab import quantize_state
from jaxopt_lab.core.codecs import Linear
from jaxopt_lab.transforms.compressed.elements import adamw_elements


def recorded(method, name):
    with np.load(vectors.VECTORS / method / f"{name}.npz") as file:
        arrays = dict(file)
    return json.loads(str(arrays["meta"])), arrays


def codec(moment):
    if moment is None:
        return None
    block = "tensor" if moment["kind"] == "per-tensor" else "row"
    return Linear(block, bits=moment["bits"], symmetric=moment.get("sym", True))


def largest_error(arrays, meta, inner, m, v, chosen):
    """Largest error of the parameters, and of the unrounded moments' roundings."""

    def select(path, leaf):
        if not chosen(path, leaf):
            return None
        return "m" if "mu" in path else "v" if "nu" in path else None

    names = [k.split("/")[1] for k in arrays if k.startswith("init/")]
    params = {k: jnp.asarray(arrays[f"init/{k}"]) for k in names}
    tx = quantize_state(inner, m=m, v=v, select=select, round_to_zero=True)
    state, update, worst = tx.init(params), jax.jit(tx.update), 0.0
    for t in range(meta["steps"]):
        grads = {k: jnp.asarray(arrays[f"grads/{t}/{k}"]) for k in names}
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        wanted = {k: arrays[f"params/{t}/{k}"] for k in names}
        worst = max(worst, vectors.max_error(params, wanted))
    return worst


@pytest.mark.full
@pytest.mark.parametrize("ours", [True, False], ids=["ours", "optax"])
@pytest.mark.parametrize("name", vectors.cases("adam_linear_quant"))
def test_study(name, ours):
    meta, arrays = recorded("adam_linear_quant", name)
    options = meta["hyperparameters"]
    rest = (options["lr"], *options["betas"], options["eps"])
    if ours:
        inner = adamw_elements(*rest, options["weight_decay"])
    else:
        inner = optax.adamw(*rest, weight_decay=options["weight_decay"])
    m, v = codec(options["first_moment"]), codec(options["second_moment"])
    chosen = lambda path, leaf: path.split("/")[-1] in meta["quantized"]
    assert largest_error(arrays, meta, inner, m, v, chosen) <= 1e-10


@pytest.mark.full(plain=["A_m2_8_row"])
@pytest.mark.parametrize("name", vectors.cases("quant_state_adamw"))
def test_state_of_adamw(name):
    meta, arrays = recorded("quant_state_adamw", name)
    inner = optax.adamw(
        meta["lr"],
        meta["b1"],
        meta["b2"],
        meta["eps"],
        weight_decay=meta["weight_decay"],
    )
    tensor = meta["granularity"] == "per tensor"
    block = "tensor" if tensor else "row"
    m, v = (
        None if bits is None else Linear(block, bits=bits)
        for bits in (meta["m_bits"], meta["v_bits"])
    )
    chosen = lambda path, leaf: len(leaf.shape) >= (1 if tensor else 2)
    assert largest_error(arrays, meta, inner, m, v, chosen) <= 1e-10
