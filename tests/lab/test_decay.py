"""Weight decay and clipping beside every optimizer of the command line."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import methods, optimizers
from jaxopt_lab.lab.command_line import command, parse
from jaxopt_lab.lab.configuration import decay_name
from jaxopt_lab.lab.decay import kernels

PARAMS = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([3.0])}
GRADS = {"kernel": jnp.array([[0.3, 0.4]]), "bias": jnp.array([-1.2])}
PLAIN = ["method=momentum", "learning_rate=0.1", "schedule=constant"]


def update_of(tx, steps=2):
    """Updates of the last of a few steps with one gradient."""
    params, state, change = PARAMS, tx.init(PARAMS), None
    for _ in range(steps):
        change, state = tx.update(GRADS, state, params)
        params = optax.apply_updates(params, change)
    return change


def assert_same(words, tx):
    found = update_of(optimizers.build(parse([*PLAIN, *words])))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, update_of(tx)
    )


def momentum():
    return optax.sgd(0.1, momentum=parse(PLAIN).method["momentum"])


@pytest.mark.parametrize("masked", ["all", "kernels"])
def test_l2_joins_the_gradient_and_decoupled_the_update(masked):
    mask = kernels if masked == "kernels" else None
    words = ["weight_decay=0.5", f"weight_decay_mask={masked}"]
    l2 = optax.chain(optax.add_decayed_weights(0.5, mask), momentum())
    assert_same([*words, "weight_decay_type=l2"], l2)
    apart = optax.chain(momentum(), optax.add_decayed_weights(-0.1 * 0.5, mask))
    assert_same(words, apart)


def test_the_gradient_is_clipped_before_it_decays():
    words = ["clip_norm=0.65", "weight_decay=0.5", "weight_decay_type=l2"]
    wanted = optax.chain(
        optax.clip_by_global_norm(0.65), optax.add_decayed_weights(0.5), momentum()
    )
    assert_same(words, wanted)


def test_decoupled_decay_follows_the_schedule():
    words = ["schedule=linear", "steps=4", "weight_decay=0.5"]
    change = update_of(optimizers.build(parse([*PLAIN[:2], *words])), steps=5)
    assert not any(np.any(c) for c in jax.tree.leaves(change))  # the rate is 0


def test_an_optimizer_with_a_decay_of_its_own_takes_the_mask():
    words = ["method=adamw", *PLAIN[1:], "weight_decay=0.5"]
    found = update_of(optimizers.build(parse([*words, "weight_decay_mask=kernels"])))
    plain = update_of(optax.adamw(0.1, weight_decay=0.5, mask=kernels))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, plain)
    found = update_of(optimizers.build(parse([*words, "weight_decay_type=l2"])))
    adam = optax.chain(
        optax.add_decayed_weights(0.5), optax.adamw(0.1, weight_decay=0.0)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, update_of(adam)
    )


@pytest.mark.full(plain=["decoupled"])
@pytest.mark.parametrize("kind", ["decoupled", "l2"])
def test_every_optimizer_decays_and_clips_or_says_why_not(kind):
    refused = set()
    for name in methods.optimizer_names():
        words = [f"method={name}", "weight_decay=0.1", f"weight_decay_type={kind}"]
        words += ["weight_decay_mask=kernels", "clip_norm=1"]
        try:
            tx = optimizers.build(parse(words))
        except InputError as error:
            assert name in str(error) and "\n" not in str(error)
            refused.add(name)
            continue
        jax.eval_shape(tx.init, {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)})
    assert refused == {
        name
        for name in methods.optimizer_names()
        if "grad_fn" in methods.get(name).needs
    }


@pytest.mark.full
def test_links_and_wrappers_take_an_optimizer_that_decays_and_clips():
    params = {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)}

    def twice(tx, params):
        state = tx.init(params)
        for _ in range(2):
            grad_fn = {"grad_fn": lambda p, i=0: p}
            _, state = tx.update(params, state, params, **grad_fn)
        return state

    for row in catalog.of_kind("transform").values():
        if row.role == "optimizer":
            continue
        words = [f"method={row.name}", "base=momentum", "clip_norm=1"]
        words.append(f"{decay_name(parse(words).rows)}=0.1")
        tx = optimizers.build(parse(words))
        updates = row.role == "wrapper" and "shards" not in row.needs
        before = jax.eval_shape(tx.init, params)
        # The momentum of the base is there, for the kernel and for the bias.
        shapes = [leaf.shape for leaf in jax.tree.leaves(before)]
        assert {(8, 8), (8,)} <= set(shapes), f"{row.name}: {shapes}"
        if updates:
            after = jax.eval_shape(functools.partial(twice, tx), params)
            assert after == before, row.name


def test_the_recipe_of_a_sam_paper_can_be_said():
    words = ["method=sam", "base=momentum", "weight_decay=5e-4", "out=x"]
    words += ["weight_decay_type=l2", "weight_decay_mask=kernels", "clip_norm=5"]
    configuration = parse(words)
    assert configuration.flat()["weight_decay"] == 5e-4
    assert "weight_decay=0.0005" in command(configuration, "x").split()
    state: Any = optimizers.build(configuration).init(PARAMS)
    link, inner = state
    assert link.hyperparams["rho"] == configuration.method["rho"]
    assert len(inner) == 3  # clipping, L2, momentum


@pytest.mark.parametrize(
    "words, said",
    [
        (["method=momentum", "weight_decay=-1"], "weight_decay=-1.0 is out of range"),
        (["clip_norm=-1"], "clip_norm=-1.0 is out of range"),
        (["clip_norm=inf"], "clip_norm=inf is out of range; accepted: [0, inf)"),
        (["weight_decay_type=l2"], "would do nothing without weight_decay="),
        (["weight_decay_mask=kernels"], "would do nothing without weight_decay="),
    ],
)
def test_what_does_not_fit_is_refused(words, said):
    with pytest.raises(InputError) as refused:
        parse(words)
    assert said in str(refused.value)
