"""Adam-mini: the paper's formulas, exact equalities, partitions, devices, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support import decoupled
from support import reference_baselines as reference

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed.adam_mini import adam_mini, scale_by_adam_mini


def gradients(*shape, steps=6, dtype=jnp.float64):
    draw = np.random.default_rng(0)
    return [jnp.asarray(draw.normal(size=shape), dtype) for _ in range(steps)]


def directions(tx, grads):
    state, update, found = tx.init(grads[0]), jax.jit(tx.update), []
    for g in grads:
        u, state = update(g, state)
        found.append(u)
    return found, state


def numbered(shape, *axes):
    """Block numbers of a tensor whose blocks lie apart along some axes."""
    number = np.zeros(shape, int)
    for axis in axes:
        along = np.arange(shape[axis]).reshape(
            [-1 if a == axis else 1 for a in range(len(shape))]
        )
        number = number * shape[axis] + along
    return number


CASES = [
    ((4, 6), None, numbered((4, 6), 1)),
    ((4, 6), "output", numbered((4, 6), 1)),
    ((4, 6), "row", numbered((4, 6), 0)),
    ((4, 6), "tensor", numbered((4, 6))),
    ((4, 6), 3, numbered((4, 6), 1) // 2),
    ((2, 3, 4), 2, numbered((2, 3, 4), 2) // 2),
    ((2, 3, 2, 5), None, numbered((2, 3, 2, 5), 3)),
    ((2, 3, 4), (0, 2), numbered((2, 3, 4), 0, 2)),
    ((2, 3, 4), (-2,), numbered((2, 3, 4), 1)),
    ((7,), None, numbered((7,))),
]


@pytest.mark.parametrize("shape, blocks, numbers", CASES, ids=lambda x: str(x)[:14])
def test_follows_the_paper(shape, blocks, numbers):
    partition = None if blocks is None else [("", blocks)]
    tx = scale_by_adam_mini(b1=0.8, b2=0.95, eps=1e-6, partition=partition)
    grads = gradients(*shape)
    found, state = directions(tx, grads)
    wanted = reference.adam_mini(
        [np.asarray(g) for g in grads], numbers, 0.8, 0.95, 1e-6
    )
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    assert state.nu.size == len(np.unique(numbers))


def test_one_element_a_block_is_adam():
    tree = {"w": (4, 6), "v": (5,), "s": ()}
    grads = [
        {
            k: jnp.asarray(np.random.default_rng(i).normal(size=s))
            for k, s in tree.items()
        }
        for i in range(5)
    ]
    tx = scale_by_adam_mini(partition=lambda name, leaf: "element")
    for a, b in zip(
        directions(tx, grads)[0],
        directions(optax.scale_by_adam(), grads)[0],
        strict=True,
    ):
        for name in tree:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-14, atol=1e-15)


def test_equal_gradients_in_a_block_are_adam():
    grads = [jnp.broadcast_to(g, (4, 6)) for g in gradients(1, 6)]
    for a, b in zip(
        directions(scale_by_adam_mini(), grads)[0],
        directions(optax.scale_by_adam(), grads)[0],
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_rules_are_searched_in_order_and_functions_see_paths_and_shapes():
    params = {"embed": jnp.ones((9, 8)), "att": {"query": jnp.ones((8, 8))}}
    rules = [("query", 2), ("^embed$", "row"), ("", "tensor")]
    nu = scale_by_adam_mini(partition=rules).init(params).nu
    assert nu["embed"].shape == (9, 1)
    assert nu["att"]["query"].shape == (1, 2, 1)
    seen = []

    def partition(name, leaf):
        seen.append((name, leaf.shape, leaf.dtype))
        return "row"

    scale_by_adam_mini(partition=partition).init(params)
    assert seen == [
        ("att/query", (8, 8), jnp.float64),
        ("embed", (9, 8), jnp.float64),
    ]


def test_the_size_of_the_gradients_does_not_matter():
    tx = scale_by_adam_mini(eps=0.0)
    small, _ = directions(tx, [1e-4 * g for g in gradients(4, 6)])
    large, _ = directions(tx, [1e4 * g for g in gradients(4, 6)])
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_decay_is_decoupled_and_masked_and_rates_are_scheduled():
    bare = lambda grads: directions(scale_by_adam_mini(), grads)[0]
    decoupled.check(adam_mini, bare, gradients(4, 6, steps=3), rtol=1e-12)


def test_bytes():
    shapes = {"w": jax.ShapeDtypeStruct((512, 256), jnp.float32)}
    state = jax.eval_shape(scale_by_adam_mini().init, shapes)
    assert trees.nbytes(state.mu) == 4 * 512 * 256
    assert trees.nbytes(state.nu) == 4 * 256


@pytest.mark.full(plain=["AxisType.Explicit-P('x',)", "AxisType.Explicit-P(None, 'x')"])
@pytest.mark.parametrize("spec", [P("x"), P(None, "x")], ids=str)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_eight_devices_are_one(spec, kind):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(kind,))
    grads = gradients(8, 16)
    tx = scale_by_adam_mini(partition=[("", 8)])
    wanted, _ = directions(tx, grads)
    with jax.set_mesh(mesh):
        grads = [jax.device_put(g, NamedSharding(mesh, spec)) for g in grads]
        found, state = directions(tx, grads)
    assert state.mu.sharding.is_equivalent_to(grads[0].sharding, 2)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_float32_is_kept():
    (u, *_), state = directions(scale_by_adam_mini(), gradients(4, 6, dtype="bfloat16"))
    assert u.dtype == jnp.bfloat16
    assert state.mu.dtype == state.nu.dtype == jnp.float32


@pytest.mark.parametrize(
    "blocks, message",
    [
        ("column", "blocks of w"),
        (5, "5 blocks of w must divide its last axis"),
        (0, "0 blocks of w must divide its last axis"),
        ((2,), "lie along axes"),
        (1.5, "must be a name, a whole number or a tuple"),
    ],
)
def test_errors(blocks, message):
    with pytest.raises(InputError, match=message):
        scale_by_adam_mini(partition=[("", blocks)]).init({"w": jnp.ones((4, 6))})
    with pytest.raises(InputError, match="b1 must lie"):
        scale_by_adam_mini(b1=1.0)


def test_a_scalar_has_no_axis_to_cut():
    with pytest.raises(InputError, match=r"1 blocks of b must divide its last axis"):
        scale_by_adam_mini(partition=[("", 1)]).init({"b": jnp.ones(())})


def test_the_official_partition_goes_by_names():
    ones = {
        "wte": (9, 8),
        "attn": {"query": (8, 4, 2), "wk": (8, 4, 2), "value": (8, 8), "bias": (8,)},
        "attn_2": {"wo": (8, 8)},
        "mlp": {"up": (8, 6), "bias": (6,)},
        "norm": (8,),
        "lm_head": (8, 9),
        "other": (8, 6),
    }
    params = jax.tree.map(jnp.ones, ones, is_leaf=lambda x: isinstance(x, tuple))
    nu = scale_by_adam_mini(partition="official").init(params).nu
    assert jax.tree.map(jnp.shape, nu) == {
        "wte": (9, 1),
        "attn": {"query": (1, 4, 1), "wk": (1, 4, 1), "value": (1, 8), "bias": (8,)},
        "attn_2": {"wo": (1, 8)},
        "mlp": {"up": (1, 6), "bias": (6,)},
        "norm": (1,),
        "lm_head": (1, 9),
        "other": (1, 1),
    }
    with pytest.raises(InputError, match="a block for each head of attn/q_proj, whose"):
        tx = scale_by_adam_mini(partition="official")
        tx.init({"attn": {"q_proj": jnp.ones((8, 8))}})


def test_a_rule_that_fits_nothing_is_told():
    tx = scale_by_adam_mini(partition=[("qeury", 2), ("w", "row")])
    with pytest.warns(UserWarning, match="partition: 'qeury' matches none"):
        tx.init({"query": jnp.ones((4, 4)), "w": jnp.ones((4, 4))})
    with pytest.raises(InputError, match="unknown partition 'offical'"):
        scale_by_adam_mini(partition="offical").init(jnp.ones(3))
