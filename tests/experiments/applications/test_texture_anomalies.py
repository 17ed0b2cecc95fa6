"""Attention discrepancy: its layer, its losses, and that the application runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.applications.texture_anomalies import model, textures
from experiments.applications.texture_anomalies.__main__ import APPLICATION, Config
from jaxopt_lab.core.errors import InputError

RNG = np.random.default_rng(0)
HEADS, TOKENS = 2, textures.GRID**2
SIZES = {"features": 4, "width": 4, "heads": HEADS, "depth": 1}


@pytest.mark.full
def test_smoke(smoke):
    small = {"train": 8, "test": 6, "batch": 4, "components": 4, "width": 4}
    config = Config(seeds=1, steps=2, heads=1, depth=1, arms=("full",), **small)
    record = smoke(APPLICATION, config, textures="synthetic")
    assert np.shape(record["areas"]["full"]) == (1, len(textures.NAMES))


@pytest.fixture(scope="module")
def found():
    x, template = RNG.normal(size=(2, TOKENS, 4)), RNG.normal(size=(2, TOKENS, 4))
    order = RNG.permutation(TOKENS)

    @jax.jit
    def run(x, template, order):
        params = model.init(np.random.default_rng(0), **SIZES)
        params = {name: jnp.asarray(p, x.dtype) for name, p in params.items()}
        twins = {n.replace("inter", "intra"): n for n in params if "0_inter" in n}
        alike = params | {other: params[own] for own, other in twins.items()}
        layer = lambda p, z, to, arm: model.layer(p, 0, z, to, arm, HEADS)
        silent = params | {"0_intra_v": 0 * params["0_intra_v"]}

        def parts(params):
            branch = layer(params, x, template, "intra")[1]["intra"]
            return jnp.stack(model.terms(branch)[:2])

        places = params | {"places": params["places"][order]}
        forward = lambda p, x: model.forward(p, x, template[0], "intra", HEADS, 1)[0]
        return {
            "same": layer(alike, x, x, "full")[0],
            "silent": layer(silent, x, template, "intra")[0],
            "slopes": jax.jacobian(parts)(params),
            "permuted": forward(places, x[:, order]),
            "plain": forward(params, x)[:, order],
        }

    # As in the command: applications promote ranks.
    with jax.numpy_rank_promotion("allow"):
        return jax.device_get(run(x, template, order))


def test_equal_attentions_cancel_with_the_skip(found):
    # All that is left of the tokens is the norm of zeros.
    assert not np.any(found["same"])


def test_one_attention_alone_keeps_the_skip(found):
    assert np.std(found["silent"], axis=1).min() > 0.01
    assert not np.allclose(found["silent"][0], found["silent"][1])


def test_each_divergence_moves_its_own_side_alone(found):
    slopes = found["slopes"]
    for name in ("0_intra_q", "0_intra_k"):
        assert not np.any(slopes[name][0]) and np.any(slopes[name][1])
    assert np.any(slopes["0_intra_spread"][0])
    assert not np.any(slopes["0_intra_spread"][1])


def test_tokens_with_their_places_may_be_permuted(found):
    np.testing.assert_allclose(found["permuted"], found["plain"], atol=1e-12)


def test_anomalies_lie_where_the_pixels_changed():
    texture, other = RNG.random((70, 80)), RNG.random((70, 80)) + 2
    crops = textures.with_anomalies(texture, other, RNG, 6)
    assert crops.images.shape == (6, 64, 64) and np.all(crops.wrong.any(axis=(1, 2)))
    patches = crops.images[crops.kinds == 0]
    np.testing.assert_array_equal(patches >= 2, crops.wrong[crops.kinds == 0])


def test_unknown_textures():
    with pytest.raises(InputError, match="textures"):
        textures.prepare(None, textures="cloth")
