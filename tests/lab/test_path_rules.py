"""Learning rates and decays of single parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import path_name
from jaxopt_lab.lab import methods, optimizers
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.path_rules import factors
from jaxopt_lab.lab.path_rules import parse as rules_of

PARAMS = {
    "body": {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([3.0])},
    "head": {"kernel": jnp.array([[0.5], [2.0]]), "bias": jnp.array([-1.0])},
}
GRADS = jax.tree.map(lambda p: 0.1 * p + 0.2, PARAMS)


def changes(*words):
    """Updates of two steps by path, their sum."""
    tx = optimizers.build(parse(["schedule=constant", *words]))
    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(2):
        updates, state = tx.update(GRADS, state, params)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
    moved = jax.tree.map(lambda a, b: np.asarray(a - b), params, PARAMS)
    return {path_name(p): x for p, x in jax.tree.leaves_with_path(moved)}


def test_the_first_rule_that_is_found_scales_the_update():
    words = ["method=momentum", "learning_rate=0.01"]
    plain = changes(*words)
    found = changes(*words, "rate_rules=head/bias=0;head=10;.*bias=0.1")
    wanted = {"body/bias": 0.1, "body/kernel": 1, "head/bias": 0, "head/kernel": 10}
    for name, factor in wanted.items():
        np.testing.assert_allclose(found[name], factor * plain[name], rtol=1e-5)


@pytest.mark.parametrize("kind", ["decoupled", "l2"])
def test_decays_have_factors_of_their_own(kind):
    words = ["method=sgd", "learning_rate=0.1", "weight_decay=0.5"]
    words += [f"weight_decay_type={kind}", "decay_rules=head=2;bias=0"]
    found, grads = changes(*words), GRADS
    shares = {"body/bias": 0, "body/kernel": 1, "head/bias": 2, "head/kernel": 2}
    leaves = zip(jax.tree.leaves_with_path(PARAMS), jax.tree.leaves(grads), strict=True)
    for (path, p), g in leaves:
        after = p
        for _ in range(2):  # without momentum both kinds are the same
            after = after - 0.1 * (g + 0.5 * shares[path_name(path)] * after)
        np.testing.assert_allclose(found[path_name(path)], after - p, rtol=1e-5)


def test_kernels_alone_decay_with_rules_too():
    words = ["method=sgd", "weight_decay=0.5", "weight_decay_mask=kernels"]
    plain = changes("method=sgd")
    found = changes(*words, "decay_rules=head=3")
    np.testing.assert_array_equal(found["head/bias"], plain["head/bias"])
    assert (found["head/kernel"] != plain["head/kernel"]).all()


def test_an_optimizer_that_decays_itself_takes_0_and_1():
    words = ["method=adamw", "weight_decay=0.5", "learning_rate=0.1"]
    some, all_of_them = changes(*words, "decay_rules=bias=0"), changes(*words)
    none = changes(*words[:1], "weight_decay=0", words[2])
    np.testing.assert_array_equal(some["head/bias"], none["head/bias"])
    np.testing.assert_array_equal(some["head/kernel"], all_of_them["head/kernel"])
    with pytest.raises(InputError, match="adamw decays by itself and takes no factors"):
        changes(*words, "decay_rules=bias=0.5")


@pytest.mark.full
def test_every_optimizer_takes_rates():
    params = {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)}
    for name in methods.optimizer_names():
        tx = optimizers.build(parse([f"method={name}", "rate_rules=bias=0.1"]))
        jax.eval_shape(tx.init, params)


@pytest.mark.parametrize(
    "words, said",
    [
        (
            "rate_rules=heads=10",
            "'heads' is in no path; the paths are body",
        ),
        ("rate_rules=head=10;head/bias=1", "is found only behind an earlier rule"),
        ("rate_rules=head", "cannot read 'head'"),
        ("rate_rules==3", "cannot read '=3'; accepted: regex=factor"),
        ("rate_rules=(=3", "cannot read '\\(=3'"),
        ("rate_rules=head=-1", "the factor of 'head' is -1; accepted: \\[0, inf"),
        ("decay_rules=bias=0", "would do nothing without weight_decay="),
    ],
)
def test_what_does_not_fit_is_refused(words, said):
    with pytest.raises(InputError, match=said) as refused:
        changes("method=sgd", words)
    assert "\n" not in str(refused.value)


def test_no_rules_are_no_factors():
    assert rules_of("rate_rules", "") == []
    assert set(jax.tree.leaves(factors("rate_rules", [])(PARAMS))) == {1.0}
