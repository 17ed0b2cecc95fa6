"""The one call that measures curvature, and its hook."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature import fisher, ggn
from jaxopt_lab.curvature.probe import probe
from jaxopt_lab.curvature.probe_hook import ProbeHook

KEY = jax.random.key(0)
DRAW = np.random.default_rng(0)
BATCHES = jax.device_put([(DRAW.normal(size=(n, 3)), np.arange(n) % 2) for n in (6, 4)])
PARAMS = jax.device_put({"kernel": DRAW.normal(size=(3, 2)), "bias": np.zeros(2)})


def model(params, batch):
    return batch[0] @ params["kernel"] + params["bias"][None]


def output_loss(logits, batch):
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], 1)
    return -jnp.mean(picked)


def loss(params, batch):
    return output_loss(model(params, batch), batch)


def dense():
    """The Hessian over the whole set, as a matrix."""
    flat, back = jax.flatten_util.ravel_pytree(PARAMS)

    def whole(v):
        sizes = [len(b[1]) for b in BATCHES]
        return sum(
            n * loss(back(v), b) for n, b in zip(sizes, BATCHES, strict=True)
        ) / sum(sizes)

    return np.asarray(jax.hessian(whole)(flat))


@pytest.mark.full
def test_every_quantity_is_that_of_the_dense_matrix():
    h = dense()
    values = np.linalg.eigvalsh(h)
    what = ("top", "bottom", "trace", "density", "layers", "ascent")
    found = probe(
        loss, PARAMS, BATCHES, KEY, what=what, k=2, num_probes=400, learning_rate=0.5
    )
    s = found.scalars
    np.testing.assert_allclose([s["top_1"], s["top_2"]], values[:-3:-1], rtol=1e-9)
    np.testing.assert_allclose(s["bottom_1"], values[0], atol=1e-9)
    assert abs(s["trace"] - np.trace(h)) < 4 * s["trace_error"] + 1e-12
    np.testing.assert_allclose(s["stability"], values[-1] / 4, rtol=1e-9)
    bias, kernel = np.linalg.eigvalsh(h[:2, :2]), np.linalg.eigvalsh(h[2:, 2:])
    np.testing.assert_allclose(s["layer/bias"], bias[-1], rtol=1e-9)
    np.testing.assert_allclose(s["layer/kernel"], kernel[-1], rtol=1e-9)
    assert s["sam_sharpness"] > 0
    mass = np.trapezoid(found.arrays["density"], found.arrays["density_grid"])
    assert 0.9 < mass < 1.01
    assert found.matvecs > 400


@pytest.mark.full
def test_warm_start_saves_products():
    cold = probe(loss, PARAMS, BATCHES, KEY, what=("top",))
    warm = probe(loss, PARAMS, BATCHES, KEY, what=("top",), start=cold.start)
    assert warm.scalars["top_matvecs"] < cold.scalars["top_matvecs"]
    np.testing.assert_allclose(warm.scalars["top_1"], cold.scalars["top_1"], rtol=1e-3)


def test_named_operators_are_the_functions():
    named = probe(
        loss,
        PARAMS,
        BATCHES,
        KEY,
        what=("top",),
        operator="ggn",
        model_fn=model,
        output_loss_fn=output_loss,
    )
    given = probe(
        loss,
        PARAMS,
        BATCHES,
        KEY,
        what=("top",),
        operator=lambda p: ggn(model, output_loss, p, BATCHES),
    )
    assert named.scalars == given.scalars
    drawn = probe(
        loss, PARAMS, BATCHES, KEY, what=("top",), operator="fisher", model_fn=model
    )
    own = probe(
        loss,
        PARAMS,
        BATCHES,
        KEY,
        what=("top",),
        operator=lambda p: fisher(model, p, BATCHES, KEY),
    )
    assert drawn.scalars == own.scalars


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": ("tpo",)}, "unknown quantity 'tpo'"),
        ({"what": ()}, "what is empty"),
        ({"operator": "hesian"}, "unknown operator 'hesian'"),
        ({"operator": "ggn"}, "needs model_fn and output_loss_fn"),
        ({"operator": "empirical_fisher"}, "needs example_losses"),
        ({"k": 0}, "k must be a whole number of at least 1"),
        ({"num_steps": 0}, "num_steps must be a whole number"),
        ({"num_probes": 0}, "num_probes must be a whole number"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        probe(loss, PARAMS, BATCHES, KEY, **options)


class State(NamedTuple):
    """The fields of a train state that the hook reads."""

    step: object
    params: object
    model_state: object
    opt_state: object


def state_loss(params, model_state, batch):
    # A frozen statistic: it must count, and must not move.
    return loss(params, (batch[0] * model_state["scale"], batch[1]))


def single(scale=1.0):
    return State(jnp.array(3), PARAMS, {"scale": jnp.array(scale)}, ())


@pytest.mark.full
def test_hook_holds_the_model_state_fixed():
    hook = ProbeHook(state_loss, BATCHES, KEY, what=("top", "layers"))
    found = hook(3, single())
    np.testing.assert_allclose(
        found["curvature/top_1"], np.linalg.eigvalsh(dense())[-1], rtol=1e-6
    )
    assert "curvature/layer/kernel" in found
    assert not any("scale" in name for name in found)


@pytest.mark.full
def test_hook_compiles_once_for_all_steps():
    traced = []

    def counted(params, model_state, batch):
        traced.append(1)
        return state_loss(params, model_state, batch)

    hook = ProbeHook(counted, BATCHES, KEY, what=("top",))
    hook(1, single())
    before = len(traced)
    hook(2, single(0.5))
    assert len(traced) == before


def test_hook_takes_every_seed_of_a_stacked_state():
    one, two = single(), single(0.5)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), one, two)
    options = {"what": ("top",), "warm_start": False}
    hook = ProbeHook(state_loss, BATCHES, KEY, **options)
    found = hook(1, both)["curvature/top_1"]
    alone = [
        ProbeHook(state_loss, BATCHES, KEY, **options)(1, s)["curvature/top_1"]
        for s in (one, two)
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-12)


def test_hook_every_and_arrays(tmp_path):
    hook = ProbeHook(
        state_loss, BATCHES, KEY, every=2, what=("density",), folder=tmp_path
    )
    assert hook(1, single()) and not hook(2, single()) and hook(3, single())
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["curvature-00000001.npz", "curvature-00000003.npz"]
    with np.load(tmp_path / names[0]) as file:
        assert "density_grid" in file


def test_hook_reads_the_parameters_to_evaluate():
    hook = ProbeHook(
        state_loss,
        BATCHES,
        KEY,
        what=("top",),
        eval_params=lambda params, opt_state: jax.tree.map(jnp.zeros_like, params),
    )
    at_zero = probe(
        loss, jax.tree.map(jnp.zeros_like, PARAMS), BATCHES, KEY, what=("top",)
    )
    np.testing.assert_allclose(
        hook(1, single())["curvature/top_1"], at_zero.scalars["top_1"], rtol=1e-6
    )


def test_hook_refuses_what_it_sets_itself():
    with pytest.raises(InputError, match="mask is the hook's own"):
        ProbeHook(state_loss, BATCHES, KEY, mask=True)
    with pytest.raises(InputError, match="every must be"):
        ProbeHook(state_loss, BATCHES, KEY, every=0)
