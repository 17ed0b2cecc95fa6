"""Names of parameters inside the boxes of flax."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core import boxes, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.perturbation import scaling_tree


def from_nnx():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(2, 3, rngs=rngs)

    return nnx.split(nnx.eval_shape(lambda: Net(nnx.Rngs(0))), nnx.Param, ...)[1]


def from_linen():
    from flax import linen

    axes = lambda f, names: linen.with_partitioning(f, names)
    init = linen.initializers
    module = linen.Dense(
        3,
        kernel_init=axes(init.ones_init(), ("a", "b")),
        bias_init=axes(init.zeros_init(), ("b",)),
    )
    x = jax.ShapeDtypeStruct((1, 2), jnp.float32)
    return {"dense": jax.eval_shape(module.init, jax.random.key(0), x)["params"]}


@pytest.fixture(params=[from_nnx, from_linen], ids=["nnx", "linen"])
def boxed(request):
    ones = lambda x: np.ones(x.shape, np.float32)
    return jax.tree.map(ones, request.param())


def test_names_are_those_without_the_box(boxed):
    names = [trees.path_name(path) for path, _ in trees.leaves_with_path(boxed)]
    assert names == ["dense/bias", "dense/kernel"]
    assert jax.tree.leaves(trees.label_by_path([("bias$", "no")], "yes")(boxed)) == [
        "no",
        "yes",
    ]
    for mask in (trees.everything_but("bias"), trees.matching("kernel$")):
        made = mask(boxed)
        assert jax.tree.leaves(made) == [False, True]
        assert jax.tree.structure(made) == jax.tree.structure(boxed)
    wrong = trees.differences({"dense": {"bias": np.ones(3), "kernel": 1}}, boxed)
    assert wrong[0].startswith("dense/bias: expected float64[3], got float32[3]")


def test_the_plain_tree_is_named_as_before(boxed):
    plain = boxes.unboxed(boxed)
    assert [type(x) for x in jax.tree.leaves(plain)] == [np.ndarray] * 2
    names = [trees.path_name(path) for path, _ in jax.tree.leaves_with_path(plain)]
    assert names == ["dense/bias", "dense/kernel"]


def test_a_field_called_value_keeps_its_name():
    params = optax.ScaleByScheduleState(count=1)  # any NamedTuple
    tree = {"value": params, "attention": chex.dataclass(type("T", (), {}))()}
    assert trees.path_name(trees.leaves_with_path(tree)[0][0]) == "value/count"


def test_frozen_by_name_is_frozen(boxed):
    labels = trees.label_by_path([("bias$", "frozen")], "trained")
    tx = jaxopt_lab.partition(
        {"frozen": optax.set_to_zero(), "trained": optax.sgd(1.0)}, labels
    )
    updates, _ = tx.update(boxed, tx.init(boxed), boxed)
    bias, kernel = jax.tree.leaves(updates)
    assert not np.any(bias) and np.all(kernel == -1)


def test_the_default_mask_of_asam_leaves_biases_alone(boxed):
    mask = trees.everything_but("bias")(boxed)
    scaling = scaling_tree("abs", boxed, mask, 2.0, 2.0)
    bias, kernel = jax.tree.leaves(scaling)
    assert np.all(bias == 1) and np.all(kernel == 3)


def test_messages_name_the_parameter(boxed):
    half = jax.tree.map(lambda x: x.astype(np.float16), boxed)
    link = jaxopt_lab.sam(0.1)
    with pytest.raises(InputError, match="cannot perturb dense/bias in float16"):
        link.update(half, link.init(half), half, grad_fn=lambda p: p)
