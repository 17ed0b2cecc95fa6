"""N2N: rewards, tables of layers and their networks, and a search over removals."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    ConvSpec,
    apply_actions,
    chain_parameters,
    compression_reward,
    constrained_reward,
    conv_chain,
    reinforce,
    removable,
    removal_space,
    run,
    shrink_space,
)

TEACHER = (
    ConvSpec(3, 8),
    ConvSpec(3, 8),
    ConvSpec(3, 16, 2),
    ConvSpec(5, 16),
    ConvSpec(3, 12),
)


def test_the_reward_grows_with_compression_and_is_concave():
    sizes = range(100, -1, -1)
    rewards = np.array([compression_reward(0.9, 0.9, n, 100) for n in sizes])
    assert rewards[0] == 0 and rewards[-1] == 1
    gains = np.diff(rewards)
    assert (gains > 0).all() and (np.diff(gains) < 1e-12).all()
    c = 1 - np.array(sizes) / 100
    np.testing.assert_allclose(rewards, 1 - (1 - c) ** 2, atol=1e-12)
    half = compression_reward(0.45, 0.9, 30, 100)
    assert abs(half - rewards[70] / 2) < 1e-12


def test_a_broken_limit_is_worth_less_and_less():
    rewards = [constrained_reward(0.6, True, epoch) for epoch in range(40)]
    assert rewards[0] == 0.6 and rewards[15:] == [-1.0] * 25
    assert np.all(np.diff(rewards[:16]) < 0)
    want = (1 - 3 / 15) ** 4
    assert rewards[3] == pytest.approx(want - 1 + want * 0.6, rel=1e-14)
    assert constrained_reward(0.6, False, 99) == 0.6
    with pytest.raises(InputError, match="epoch must be"):
        constrained_reward(0.6, True, -1)


def test_the_teacher_is_the_student_of_no_actions():
    keep = dict.fromkeys(removal_space(TEACHER), True)
    same = dict.fromkeys(shrink_space(TEACHER), 1.0)
    assert apply_actions(TEACHER, {**keep, **same}) == TEACHER


def test_every_table_is_a_network_of_as_many_parameters():
    space = {**removal_space(TEACHER), **shrink_space(TEACHER)}
    rng = np.random.default_rng(0)
    for _ in range(12):
        actions = {n: d.at(rng.random()) for n, d in space.items()}
        specs = apply_actions(TEACHER, actions)
        net = conv_chain(specs, 1, 10)
        start = jax.eval_shape(net.init, jax.random.key(0))
        size = sum(leaf.size for leaf in jax.tree.leaves(start))
        assert size == chain_parameters(specs, 1, 10)
        assert size <= chain_parameters(TEACHER, 1, 10)
        x = jax.ShapeDtypeStruct((2, 7, 8, 1), np.float32)
        apply = lambda p, x, n=net: n.apply(p, {}, x, train=True)[0]
        y = jax.eval_shape(apply, start[0], x)
        assert y.shape == (2, 10)


def test_protected_layers_stay():
    assert removable(TEACHER) == (1, 3, 4)
    gone = apply_actions(TEACHER, dict.fromkeys(removal_space(TEACHER), False))
    assert gone == (TEACHER[0], TEACHER[2])
    for i in (0, 2):
        with pytest.raises(InputError, match=f"layer {i} is protected"):
            apply_actions(TEACHER, {f"keep_{i}": False})


def test_a_policy_removes_what_nobody_needs():
    whole = chain_parameters(TEACHER, 1, 10)

    def score(actions):
        specs = apply_actions(TEACHER, actions)
        accuracy = 0.9 if actions["keep_4"] else 0.1  # only this one is needed
        return compression_reward(accuracy, 0.9, chain_parameters(specs, 1, 10), whole)

    found = run(reinforce(removal_space(TEACHER)), score, jax.random.key(0), 60)
    assert found["best"] == {"keep_1": False, "keep_3": False, "keep_4": True}


BAD = {
    "names no action": lambda: apply_actions(TEACHER, {"keep_9": False}),
    "specs must be layers": lambda: conv_chain([ConvSpec(0, 3)], 1, 2),
    "specs must have a layer": lambda: removal_space(TEACHER[:1]),
    "factors must lie in": lambda: shrink_space(TEACHER, (0.0, 1.0)),
    "parameters must lie in": lambda: compression_reward(0.5, 0.9, 101, 100),
    "teacher_accuracy must be above 0": lambda: compression_reward(0.5, 0.0, 1, 2),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises(InputError, match=message):
        BAD[message]()
