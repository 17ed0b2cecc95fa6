"""The dry run of a chain: gradients, shards, order."""

import jax
import jax.numpy as jnp
import optax
import pytest
from support.sharded import shard_sam

import jaxopt_lab
from jaxopt_lab.training.dry_run import dry_run

PARAMS = {"w": jnp.ones(3), "b": jnp.ones(())}


def plan(*links):
    tx = optax.with_extra_args_support(optax.chain(*links))
    return dry_run(tx, tx.init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    "links, gradients, num_shards",
    [
        ((optax.adam(0.1),), 1, 0),
        ((jaxopt_lab.sam(0.1), optax.sgd(0.1)), 2, 0),
        ((jaxopt_lab.sam(0.1, sync="local"),), 2, 1),
        ((shard_sam(0.1, 4),), 2, 4),
        ((shard_sam(0.1, 4, "scan"),), 2, 0),
        ((shard_sam(0.1, 4), shard_sam(0.1, 2)), 3, 0),
        ((optax.apply_if_finite(shard_sam(0.1, 4), 2),), 2, 4),
    ],
)
def test_gradients_and_shards(links, gradients, num_shards):
    got = plan(*links)
    assert (got.gradients, got.num_shards) == (gradients, num_shards)


def test_the_mode_of_the_shards_is_learned():
    assert plan(shard_sam(0.1, 4, "vmap")).mode == "vmap"


def test_a_transform_in_front_is_seen():
    assert plan(optax.clip(0.1), jaxopt_lab.sam(0.1)).changed_before == ("sam",)
    assert plan(jaxopt_lab.sam(0.1), optax.clip(0.1)).changed_before == ()


def test_it_works_on_tracers():
    tx = optax.with_extra_args_support(optax.chain(jaxopt_lab.sam(0.1)))
    seen = []

    @jax.jit
    def f(params):
        seen.append(dry_run(tx, tx.init(params), params).gradients)
        return params

    f(PARAMS)
    jax.vmap(f)(jax.tree.map(lambda x: jnp.stack([x, x]), PARAMS))
    assert set(seen) == {2}
