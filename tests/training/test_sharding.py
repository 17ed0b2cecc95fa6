"""Rules, the specs of parameters and of what optimizers keep beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jaxopt_lab import catalog
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import (
    init_sharded,
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    param_specs,
    parse_rules,
    state_shardings,
    state_specs,
    storage_shardings,
)
from jaxopt_lab.training.sharding import _by_row
from jaxopt_lab.training.state import TrainState

CATALOG = catalog.of_kind("transform")

PARAMS = {
    "blocks": [
        {"up": {"kernel": (16, 32), "bias": (32,)}, "scale": ()},
        {"up": {"kernel": (16, 32), "bias": (32,)}, "scale": ()},
    ],
    "head": {"kernel": (16, 10)},
}
SHAPES = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, np.float32),
    PARAMS,
    is_leaf=lambda x: isinstance(x, tuple),
)


def test_rules_from_text():
    assert parse_rules("a/b$=-,model; .*kernel=data+model") == [
        ("a/b$", P(None, "model")),
        (".*kernel", P(("data", "model"))),
    ]
    assert parse_rules("") == []
    # An expression may hold an equals sign itself.
    assert parse_rules("(?=up)=data") == [("(?=up)", P("data"))]


def test_a_leaf_by_row_differs_from_a_matrix_in_the_last_axis_alone():
    assert _by_row((16, 3), (16, 32)) and _by_row((2, 16, 3), (2, 16, 32))
    assert not _by_row((3,), (32,)) and not _by_row((3, 32), (16, 32))


@pytest.mark.parametrize(
    "text, said", [("kernel", "cannot read the rule"), ("(=data", "no regular expr")]
)
def test_rules_that_cannot_be_read(text, said):
    with pytest.raises(InputError, match=said):
        parse_rules(text)


def test_the_first_fitting_rule_counts():
    mesh = make_mesh("data:4,model:2")
    rules = [("0/up/kernel", P("data")), ("up", P(None)), ("head", P("model", None))]
    specs = param_specs(SHAPES, rules, mesh)
    assert specs["blocks"][0]["up"] == {"kernel": P("data"), "bias": P(None)}
    assert specs["blocks"][1]["up"]["kernel"] == P(None)
    assert specs["blocks"][1]["scale"] == P()
    assert specs["head"]["kernel"] == P("model", None)


@pytest.mark.parametrize(
    "rules, said",
    [
        ([("kernle", P())], "'kernle' fits no parameter.*blocks/0/scale"),
        ([("kernel", P()), ("head/kernel", P())], "'head/kernel' fits no parameter"),
        (
            [("head", P(None, "model"))],
            r"head/kernel: axis 1 of shape \(16, 10\) cannot be cut into 4 equal parts",
        ),
        ([("bias", P(None, "model"))], r"bias has shape \(32,\).*2 entries"),
        ([("head", P("modl"))], "no axis 'modl'; its axes are data, model"),
        ([("up/kernel", P("model", "model"))], "names 'model' twice"),
        ([("scale", P("data"))], r"scale has shape \(\)"),
    ],
)
def test_rules_that_do_not_fit(rules, said):
    with pytest.raises(InputError, match=said):
        param_specs(SHAPES, rules, make_mesh("data:2,model:4"))


def adam_specs(**options):
    mesh = make_mesh("data:4,model:2")
    params = {"w": SHAPES["head"]["kernel"], "b": SHAPES["blocks"][0]["scale"]}
    specs = param_specs(params, [("w", P(None, "model"))], mesh)
    state = jax.eval_shape(optax.adam(1e-3).init, params)
    return state_specs(state, params, specs, mesh, **options)[0]


def test_state_lies_as_its_parameters():
    found = adam_specs()
    assert found.mu == {"w": P(None, "model"), "b": P()}
    assert found.count == P()


def test_zero_divides_a_whole_axis_besides():
    found = adam_specs(zero_axis="data")
    assert found.mu == {"w": P("data", "model"), "b": P()}
    with pytest.raises(InputError, match="no axis 'replica' to divide"):
        adam_specs(zero_axis="replica")


def test_leading_axes_stay_whole_and_other_shapes_follow_the_rows():
    """The trap: the parameter's own spec on (3, 16, 32) cuts the wrong axis."""
    mesh = make_mesh("data:8")
    params = {"a": SHAPES["blocks"][0]["up"]["kernel"]}
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    state = {
        "buffer": {"a": leaf(3, 16, 32)},
        "codes": {"a": leaf(256)},
        "scales": {"a": leaf(64)},
        "rows": {"a": leaf(16, 4)},
        "square": {"a": leaf(16, 32)},
        "count": leaf(),
        "other": {"b": leaf(16, 32)},
    }
    specs = param_specs(params, [("a", P("data"))], mesh)
    assert state_specs(state, params, specs, mesh) == {
        "buffer": {"a": P(None, "data")},
        "codes": {"a": P("data")},
        "scales": {"a": P("data")},
        "rows": {"a": P("data")},
        "square": {"a": P("data")},
        "count": P(),
        "other": {"b": P()},
    }


def test_factors_are_cut_by_themselves():
    mesh = make_mesh("data:8")
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    state = {"basis": {"a": leaf(16, 8)}, "basis_error": {"a": leaf(16, 64)}}
    specs = ({"a": leaf(16, 64)}, {"a": P()}, mesh)
    cut = {"basis": {"a": P("data")}, "basis_error": {"a": P("data", None)}}
    assert state_specs(state, *specs, zero_axis="data") == cut
    # Along the longest axis.
    state = {"right": {"a": leaf(8, 64)}, "codes": {"a": leaf(4)}}
    assert state_specs(state, *specs, zero_axis="data", factored="right") == {
        "right": {"a": P(None, "data")},
        "codes": {"a": P()},
    }


def test_what_a_step_needs_whole_is_kept_in_pieces():
    mesh = make_mesh("data:4,model:2")
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    params = {"a": leaf(6, 16), "b": leaf(16)}
    specs = {"a": P(None, "model"), "b": P("model")}
    opt_state = {
        "mu": {"a": leaf(6, 16), "b": leaf(16)},  # no whole axis of b is left
        "left": {"a": leaf(6, 6)},  # divides by 2 alone
        "right": {"a": leaf(16, 16)},
        "blocks": {"a": leaf(12, 8)},
        "values": {"a": leaf(6, 8)},  # by row; with these the blocks divide not
        "odd": {"a": leaf(3)},
        "key": jax.eval_shape(lambda: jax.random.key(0)),
    }
    whole = {"zero_axis": "data", "replicated": "left|right"}
    inside = state_specs(opt_state, params, specs, mesh, **whole)
    assert inside["mu"] == {"a": P(None, ("model", "data")), "b": P(("model", "data"))}
    assert inside["left"]["a"] == inside["right"]["a"] == P()
    assert "data" not in str(inside["blocks"]) + str(inside["values"])
    state = TrainState(leaf(), params, {}, opt_state, opt_state["key"])
    place = lambda spec: jax.NamedSharding(mesh, spec)
    shardings = TrainState(
        place(P()),
        jax.tree.map(place, specs),
        {},
        jax.tree.map(place, inside, is_leaf=lambda x: isinstance(x, P)),
        place(P()),
    )
    stored = jax.tree.map(
        lambda s: s.spec, storage_shardings(state, shardings, "data").opt_state
    )
    assert stored["mu"] == inside["mu"] and stored["key"] == P()
    assert stored["left"]["a"] == P("model") and stored["odd"]["a"] == P()
    assert stored["right"]["a"] in (P("data", "model"), P(("data", "model")))
    assert stored["blocks"]["a"] == P("data", "model")
    assert stored["values"]["a"] == P("model", "data")


@pytest.mark.full
@pytest.mark.parametrize("name", ["microadam", "adamw4bit", "ldadam", "adam_cm"])
def test_no_state_is_whole_on_a_mesh_of_two_axes(name):
    """Stacked layers, cut along columns: blocks cross the pieces."""
    mesh = make_mesh("data:4,model:2")
    row = CATALOG[name]
    tx = row.make()
    shapes = {"w": (6, 32, 256), "v": (6, 256, 32)}

    def init(key):
        draw = lambda shape: jax.random.normal(key, shape)
        return init_state(tx, jax.tree.map(draw, shapes, is_leaf=_is_shape), key)

    def loss_fn(params, model_state, batch, key):
        del key
        hidden = jnp.tanh(jnp.einsum("bi,lij->lbj", batch["x"], params["w"]))
        out = jnp.einsum("lbj,ljk->bk", hidden, params["v"])
        return jnp.mean(out**2), (model_state, {})

    rules = [("w", P(None, None, "model")), ("v", P(None, "model", None))]
    abstract = jax.eval_shape(init, jax.random.key(0))
    named = {"replicated": row.whole_state, "factored": row.factored_state}
    inside = state_shardings(abstract, rules, mesh, zero_axis="data", **named)
    stored = storage_shardings(abstract, inside, "data")
    step = jax.jit(make_parallel_step(loss_fn, tx, mesh, inside, storage=stored))
    alone = jax.jit(make_train_step(loss_fn, tx))
    state, single = (
        init_sharded(init, jax.random.key(0), stored),
        init(jax.random.key(0)),
    )
    batch = {"x": jax.random.normal(jax.random.key(1), (64, 32))}
    for _ in range(2):
        state, single = step(state, batch)[0], alone(single, batch)[0]
    for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(single.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    whole = trees.nbytes(state.opt_state)
    here = sum(
        x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state.opt_state)
    )
    assert here / whole < 0.3
    text = step.lower(state, batch).compile().as_text()
    # Factors over the data axis meet moments that are cut over both.
    assert name == "ldadam" or "all-to-all" not in text


def _is_shape(x):
    return isinstance(x, tuple)


def test_blocks_are_cut_together_or_not_at_all():
    mesh = make_mesh("data:8")
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    state = {"codes": {"a": leaf(256)}, "scales": {"a": leaf(4)}}
    found = state_specs(state, {"a": leaf(16, 64)}, {"a": P()}, mesh, zero_axis="data")
    assert found == {"codes": {"a": P()}, "scales": {"a": P()}}


def test_the_longest_path_owns_a_leaf():
    mesh = make_mesh("data:8")
    shape = jax.ShapeDtypeStruct((8, 8), np.float32)
    params = {"w": shape, "deep": {"w": shape}}
    specs = {"w": P("data"), "deep": {"w": P(None, "data")}}
    state = jax.eval_shape(optax.trace(0.9).init, params)
    assert state_specs(state, params, specs, mesh).trace == specs


def made(name, zero_axis):
    tx = CATALOG[name].make()
    if CATALOG[name].role == "wrapper":
        tx = CATALOG[name].wrap(optax.sgd(0.1, momentum=0.9))
    params = {"w": (64, 1024), "v": (32768,), "s": ()}

    def init(key):
        zeros = {k: jnp.zeros(shape, jnp.float32) for k, shape in params.items()}
        return init_state(tx, zeros, key)

    shapes = jax.eval_shape(init, jax.random.key(0))
    return init, state_shardings(shapes, [], make_mesh(), zero_axis=zero_axis)


@pytest.mark.full(plain=["adam", "adam_cm", "sam"])
@pytest.mark.parametrize("name", ["adam", "adam_cm", "sam", "adamw8bit", "microadam"])
def test_no_device_holds_a_whole_state(name):
    """With ZeRO every leaf that divides is an eighth on each device, from the start."""
    init, shardings = made(name, "data")
    state = init_sharded(init, jax.random.key(0), shardings)
    whole = init_sharded(init, jax.random.key(0), made(name, None)[1])
    whole_bytes = trees.nbytes(whole.opt_state)
    here = sum(
        x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state.opt_state)
    )
    # Counts, keys and the state of the scalar.
    assert here <= whole_bytes / 8 + 200
    jax.tree.map(np.testing.assert_array_equal, *map(plain, (state, whole)))
    assert all(x.is_fully_replicated for x in jax.tree.leaves(state.params))


def plain(state):
    state = state._replace(key=jax.random.key_data(state.key))
    return jax.device_get(state)


def test_codes_of_whole_blocks_follow_the_columns_of_their_parameter():
    mesh = make_mesh("data:2,model:4")
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    params = {"a": leaf(3, 16, 1024), "b": leaf(3, 16, 640)}
    specs = {name: P(None, None, "model") for name in params}
    # Packed codes and scales of blocks of 128: 8 and 5 blocks a row.
    state = {
        "codes": {"a": leaf(3, 16, 512), "b": leaf(3, 16, 320)},
        "scales": {"a": leaf(3, 16, 8), "b": leaf(3, 16, 5)},
    }
    found = state_specs(state, params, specs, mesh)
    assert {k: v["a"] for k, v in found.items()} == {
        "codes": P(None, None, "model"),
        "scales": P(None, None, "model"),
    }
    # A fourth of five blocks would cut one.
    assert {k: v["b"] for k, v in found.items()} == {
        "codes": P(None, None),
        "scales": P(None, None),
    }
    divided = state_specs(state, params, specs, mesh, zero_axis="data")
    assert divided["codes"]["a"] == P(None, "data", "model")
    assert divided["codes"]["b"] == P(None, "data")
