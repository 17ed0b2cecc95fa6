"""Several seeds at once are separate runs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.tiny_run import parts

from jaxopt_lab.core import loops
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import fit
from jaxopt_lab.training import init_seeds, make_mesh, over_seeds, seed_keys
from jaxopt_lab.training.seeds import each_group

SEEDS, STEPS = 5, 20


class Collect:
    def __init__(self):
        self.records = []

    def write(self, step, record):
        self.records.append((step, record))

    def close(self):
        pass


def trained(**options):
    step, state, batches, evaluate = parts(**options)
    sink = Collect()
    result = fit(
        step,
        state,
        batches,
        steps=STEPS,
        log_every=4,
        evaluate=evaluate,
        eval_every=10,
        sinks=[sink],
        progress=False,
    )
    return result.state, sink.records


@pytest.fixture(scope="module")
def separate():
    return [trained(seed=3 + i) for i in range(SEEDS)]


@pytest.mark.full
@pytest.mark.parametrize("mode", ["unroll", "vmap", "scan"])
def test_equal_to_separate_runs(mode, separate):
    state, records = trained(seed=3, seeds=SEEDS, mode=mode)
    for i, (alone, lines) in enumerate(separate):
        one = loops.take(state, i)
        assert jnp.array_equal(
            jax.random.key_data(one.key), jax.random.key_data(alone.key)
        )
        chex.assert_trees_all_close(one[:-1], alone[:-1], rtol=1e-10, atol=1e-10)
        for (step, many), (step_alone, single) in zip(records, lines, strict=True):
            assert step == step_alone and list(many) == list(single)
            for name in set(single) - {"time", "steps_per_second", "kind"}:
                value = np.broadcast_to(many[name], (SEEDS,))[i]
                np.testing.assert_allclose(value, single[name], rtol=1e-10)
    # Different seeds, so the equalities above say something.
    losses = [lines[-1][1]["loss"] for _, lines in separate]
    assert len({float(loss) for loss in losses}) == SEEDS


def test_seeds_see_their_own_data():
    batches = parts(seeds=3)[2]
    x = batches.next()["x"]
    assert not np.array_equal(x[0], x[1]) and not np.array_equal(x[1], x[2])
    np.testing.assert_array_equal(x[1], parts(seed=1)[2].next()["x"])


def dense(state, batch):
    return state, {"loss": jnp.sum(state * batch)}


def convolved(state, batch):
    out = jax.lax.conv_general_dilated(batch, state, (1, 1), "SAME")
    return state, {"loss": jnp.sum(out)}


def primitives(step, shape, mode):
    args = jnp.ones((3, *shape), jnp.float32), jnp.ones((3, *shape), jnp.float32)
    jaxpr = jax.make_jaxpr(over_seeds(step, mode))(*args)
    return [eqn.primitive.name for eqn in jaxpr.jaxpr.eqns]


def test_auto_unrolls_convolutions_on_a_cpu_only(monkeypatch):
    def convolutions(mode):
        return primitives(convolved, (2, 2, 4, 4), mode).count("conv_general_dilated")

    assert (convolutions("vmap"), convolutions("unroll")) == (1, 3)
    assert "scan" in primitives(convolved, (2, 2, 4, 4), "scan")
    assert convolutions("auto") == 3
    assert primitives(dense, (4,), "auto") == primitives(dense, (4,), "vmap")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert convolutions("auto") == 1


def test_unknown_mode_is_named_when_the_step_is_made():
    with pytest.raises(InputError, match="unknown mode 'vmapp'; perhaps you meant"):
        over_seeds(dense, "vmapp")


def test_keys_and_states_are_those_of_the_seed_alone():
    keys = seed_keys(7, 3)
    for i in range(3):
        expected = jax.random.key_data(jax.random.key(7 + i))
        np.testing.assert_array_equal(jax.random.key_data(keys[i]), expected)

    def init(key):
        return jax.random.normal(key, (4,))

    for i, row in enumerate(init_seeds(init, keys)):
        np.testing.assert_array_equal(row, init(keys[i]))


@pytest.mark.full(plain=["vmap", "scan"])
@pytest.mark.parametrize("mode", ["unroll", "vmap", "scan"])
def test_groups_of_devices_keep_to_their_own_seeds(mode):
    """Left to the compiler, an unrolled loop brings every seed to every device."""
    mesh = make_mesh("seeds:4")
    cut = jax.NamedSharding(mesh, jax.P("seeds"))
    states = jax.device_put(jnp.arange(24.0).reshape(8, 3), cut)
    batch = jnp.arange(3.0)

    def loop(states, batch):
        return loops.map_items(lambda state: state @ batch, states, mode)

    def collectives(fn):
        text = jax.jit(fn, out_shardings=cut).lower(states, batch).compile().as_text()
        return [kind for kind in ("all-", "collective-permute") if kind in text]

    grouped = each_group(loop, mesh, common=1)
    assert collectives(grouped) == []
    assert mode != "unroll" or collectives(loop)
    np.testing.assert_allclose(jax.jit(grouped)(states, batch), states @ batch)
    assert each_group(loop, None) is loop
    assert each_group(loop, make_mesh("data:4")) is loop
