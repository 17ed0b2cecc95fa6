"""Unified normalization against the paper's repository."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import load, replay_backward

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import unified_norm

STATE = {
    "var": "running_var",
    "nu": "ema_gz",
    "squares": "buffer_x2",
    "slopes": "buffer_gz",
    "count": "iters",
    "outliers": "skip_counter",
}
DEAR = ["after_warmup_w4", "warmup_only", "window1_always_skip"]
PLAIN = ["outlier_filter", "r_correction", "window_list_2_3_pad"]


@pytest.mark.full(plain=PLAIN)
@pytest.mark.parametrize("case", [*PLAIN, *DEAR])
def test_vectors(case):
    meta, arrays = load("unified_norm", case)
    size = meta["window_size"]
    window, backward = size if isinstance(size, list) else (size, None)
    core = unified_norm(
        arrays["weight/scale"].size,
        window=window,
        backward_window=backward,
        warmup=meta["warmup_iters"],
        filter_outliers=meta["outlier_filtration"],
        decay=meta["momentum"],
        eps=meta["eps"],
        padding="normalized",
    )

    def mask(t):
        padding = arrays.get(f"input/{t}/pad_mask")
        return None if padding is None else ~padding.astype(bool)

    replay_backward(core, meta, arrays, state=STATE, mask=mask)


def test_zeros_and_the_end_of_the_count():
    core = unified_norm(3, warmup=2, window=2)
    params, state = jax.tree.map(lambda s: s.astype(float), core.init())

    @jax.jit
    def run(state, x):
        total = lambda x, s: jnp.sum(core.apply(params, s, x, train=True)[0] ** 2)
        return jax.grad(total, argnums=(0, 1))(x, state)

    value = state["running"].value
    for count in (0.0, 2.0**22):
        old = state["running"]._replace(value={**value, "count": jnp.full((), count)})
        slope, made = run({"running": old}, np.zeros((4, 3)))
        leaves = jax.tree.leaves((slope, made["running"].value))
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
        new = made["running"].value["count"]
        assert new % 2 == (count + 1) % 2 and new <= 2.0**22


def test_bad_input_gets_one_line():
    with pytest.raises(InputError, match="warmup must be at least the window, 4, for"):
        unified_norm(6, warmup=3, filter_outliers=True)
    with pytest.raises(InputError, match="window must be a whole number of at least 1"):
        unified_norm(6, window=0)
    assert unified_norm(6, warmup=3).init()[0]["scale"].shape == (6,)
