"""UnMix-TNS against the paper's repository."""

import jax
import numpy as np
import pytest
from support.layer_vectors import load, replay

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import components_of_source, unmix_tns

X = np.random.default_rng(0).normal(1.0, 2.0, (4, 3, 3, 5))


@pytest.mark.full(plain=["k16_b8"])
@pytest.mark.parametrize("case", ["k1", "k16_b8", "k2_small_batch", "k4_b1"])
def test_vectors(case):
    meta, arrays = load("unmix_tns", case)
    features = arrays["weight/scale"].size
    core = unmix_tns(
        features,
        components=meta["components"],
        momentum=meta["bn_momentum"],
        batch_size=meta["batch_size"],
        temperature=meta["temperature"],
    )
    source = {n: arrays[f"weight/source_{n}"] for n in ("mean", "var")}
    noise = arrays.get("input/init_noise", np.zeros((1, features)))
    first = jax.jit(components_of_source)(source, noise)
    for name, value in first.items():
        np.testing.assert_allclose(value, arrays[f"state/init/{name}"], rtol=1e-12)
    steps = sum(name.startswith("output/") for name in arrays)
    calls = {**meta, "train_steps": steps, "last_is_eval": False}
    kept = {"means": "means", "vars": "vars"}
    for name, value in source.items():
        kept[name] = name
        for t in ("init", *range(steps)):
            arrays[f"state/{t}/{name}"] = value
    replay(core, calls, arrays, params=("scale", "bias"), state=kept)


def test_without_positions_it_is_the_batch_norm_of_the_source():
    core = unmix_tns(5)
    params, state = core.init(jax.random.key(0))
    state = {**state, "mean": np.full(5, 2.0), "var": np.full(5, 4.0)}
    y, after = core.apply(params, state, X[:, 0, 0], train=True)
    np.testing.assert_allclose(y, (X[:, 0, 0] - 2) / np.sqrt(4 + 1e-5), rtol=1e-6)
    assert all(after[name] is state[name] for name in state)


def test_bad_input_gets_one_line():
    with pytest.raises(InputError, match="components must be a whole number of at"):
        unmix_tns(5, components=0)
    with pytest.raises(InputError, match="temperature must be above 0"):
        unmix_tns(5, temperature=0.0)
