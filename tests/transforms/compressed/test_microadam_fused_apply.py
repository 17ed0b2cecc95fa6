"""MicroAdam and LDAdam through the fused apply of the train step and through optax."""

import chex
import jax
import optax
import pytest
from support.fused_apply import START, by_protocol, three_steps

import jaxopt_lab
from jaxopt_lab.training.fused_apply import FusedApplyRecorder
from jaxopt_lab.transforms.compressed.ldadam import ldadam
from jaxopt_lab.transforms.compressed.microadam import microadam


def rate(count):
    return 1e-2 / (1.0 + count)


METHODS = {
    "microadam": lambda: microadam(
        rate, density=0.05, block_size=128, weight_decay=0.1, chunk=256
    ),
    "ldadam": lambda: ldadam(rate, rank=4, error="4-bit", weight_decay=0.1),
}
CHAINS = {
    "bare": lambda tx: tx,
    "sam": lambda tx: optax.chain(jaxopt_lab.sam(0.05), tx),
    "clip": lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx),
    "behind": lambda tx: optax.chain(tx, optax.scale(0.5)),
    "partition": lambda tx: optax.partition(
        {"a": tx, "b": optax.sgd(0.1)}, {"w": "a", "b": "b"}
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", METHODS)
def test_the_fused_apply_changes_no_step(name, chain):
    tx = CHAINS[chain](METHODS[name]())
    through, around = three_steps(tx), three_steps(by_protocol(tx))
    chex.assert_trees_all_close(through, around, rtol=1e-6, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_the_fused_apply_is_taken(name):
    """The new parameters are the offered objects, but not once they are scaled."""
    tx = METHODS[name]()
    for chained, taken in ((tx, True), (optax.chain(tx, optax.scale(0.5)), False)):
        offered = []

        class Listening(FusedApplyRecorder):
            def record(self, updates, old_params, new_params, seen=offered):
                seen.extend(jax.tree.leaves(new_params))
                super().record(updates, old_params, new_params)

        recorder = Listening()
        state = chained.init(START)
        updates, _ = chained.update(START, state, START, fused_apply=recorder)
        after = jax.tree.leaves(recorder.apply(START, updates))
        assert len(offered) == len(after)
        same = [any(x is y for y in offered) for x in after]
        assert all(same) if taken else not any(same)


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_injected_numbers(name):
    make = {"microadam": microadam, "ldadam": ldadam}[name]
    injected = jaxopt_lab.inject_hyperparams(make)(1e-2, weight_decay=0.1)
    chex.assert_trees_all_close(
        three_steps(injected), three_steps(make(1e-2, weight_decay=0.1)), rtol=1e-5
    )
    assert "learning_rate" in injected.init(START).hyperparams
