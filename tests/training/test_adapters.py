"""Flax modules as pure functions of plain dicts."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training.adapters import Functional, from_linen, from_nnx

F32 = {"dtype": jnp.float32, "param_dtype": jnp.float32}
INPUTS = np.linspace(-1, 2, 15, dtype=np.float32).reshape(5, 3) ** 2


class Net(nnx.Module):
    """List, batch statistics, dropout with a key at the call."""

    def __init__(self, rngs, rate=0.0):
        self.layers = nnx.List(nnx.Linear(3, 3, rngs=rngs, **F32) for _ in range(2))
        self.norm = nnx.BatchNorm(3, rngs=rngs, **F32)
        self.dropout = nnx.Dropout(rate)
        self.head = nnx.Linear(3, 2, rngs=rngs, **F32)

    def __call__(self, x, *, rngs=None):
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.head(self.dropout(self.norm(x), rngs=rngs))


class Stateful(nnx.Module):
    """Dropout that carries its own stream."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 4, rngs=rngs, **F32)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


class LinenNet(linen.Module):
    """The same as ``Net`` in linen; the mode arrives as ``train``."""

    rate: float = 0.0

    @linen.compact
    def __call__(self, x, train: bool):
        for _ in range(2):
            x = linen.relu(linen.Dense(3, **F32)(x))
        norm = linen.BatchNorm(use_running_average=not train, **F32)
        x = linen.Dropout(self.rate, deterministic=not train)(norm(x))
        return linen.Dense(2, **F32)(x)


def as_linen(params, state):
    """The dicts of ``Net`` under the names of ``LinenNet``."""
    dense = [params["layers"]["0"], params["layers"]["1"], params["head"]]
    named = {f"Dense_{i}": layer for i, layer in enumerate(dense)}
    return (
        {**named, "BatchNorm_0": params["norm"]},
        {"batch_stats": {"BatchNorm_0": state["norm"]}},
    )


@pytest.fixture(scope="module")
def net():
    model = from_nnx(Net)
    return model, *jax.jit(model.init)(jax.random.key(0))


def assert_equal(a, b):
    assert trees.differences(a, b) == []
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)


def test_parameters_are_plain_dicts_with_string_keys(net):
    _, params, state = net
    assert type(params) is dict
    assert type(params["layers"]) is dict
    assert list(params["layers"]) == ["0", "1"]
    assert set(params["layers"]["0"]) == {"kernel", "bias"}
    assert set(params) == {"layers", "norm", "head"}
    assert set(state["norm"]) == {"mean", "var"}
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))


def test_masks_by_name_see_the_bare_names(net):
    mask = trees.everything_but("bias")(net[1])
    assert mask["head"] == {"kernel": True, "bias": False}


def test_initialisation_is_that_of_the_module(net):
    _, params, _ = net
    module = Net(nnx.Rngs(jax.random.key(0)))
    assert_close(params["head"]["kernel"], module.head.kernel.get_value())
    assert_close(params["layers"]["1"]["kernel"], module.layers[1].kernel.get_value())


@pytest.mark.full
def test_round_trip_through_the_module_is_exact():
    """The variables of a module hold the values that were put in."""

    class Mirror(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List(
                nnx.Linear(2, 2, rngs=rngs, **F32) for _ in range(11)
            )

        def __call__(self, _):
            return nnx.to_pure_dict(nnx.state(self, nnx.Param))

    model = from_nnx(Mirror)
    params, state = jax.jit(model.init)(jax.random.key(3))
    seen, _ = model.apply(params, state, None, train=True)
    # Eleven entries: as strings "10" sorts before "2", as numbers after.
    assert_equal({str(k): v for k, v in seen["layers"].items()}, params["layers"])
    assert not jnp.array_equal(
        seen["layers"][10]["kernel"], seen["layers"][2]["kernel"]
    )


def test_statistics_move_in_training_alone(net):
    model, params, state = net
    _, after = model.apply(params, state, INPUTS, train=False)
    assert after is state
    _, after = model.apply(params, state, INPUTS, train=True)
    assert trees.differences(state, after) == []
    assert not jnp.array_equal(after["norm"]["mean"], state["norm"]["mean"])
    assert not jnp.array_equal(after["norm"]["var"], state["norm"]["var"])


def test_training_and_evaluation_differ(net):
    model, params, state = net
    trained, _ = model.apply(params, state, INPUTS, train=True)
    tested, _ = model.apply(params, state, INPUTS, train=False)
    assert not np.allclose(trained, tested)


def test_apply_changes_nothing_that_it_is_given(net):
    model, params, state = net
    before = jax.tree.map(np.array, (params, state))
    first, _ = model.apply(params, state, INPUTS, train=True)
    second, _ = model.apply(params, state, INPUTS, train=True)
    assert_equal(before, jax.tree.map(np.array, (params, state)))
    np.testing.assert_array_equal(first, second)


@pytest.mark.full
def test_statistics_keep_their_type_where_the_module_widens_them():
    model = from_linen(LinenNet(), INPUTS)
    params, state = jax.jit(model.init)(jax.random.key(0))
    narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), state)
    with jax.numpy_dtype_promotion("standard"):
        _, after = model.apply(params, narrow, INPUTS, train=True)
    assert trees.differences(narrow, after) == []


def test_arrays_that_are_no_variables_are_state():
    class Scaled(nnx.Module):
        def __init__(self, rngs):
            self.factor = nnx.data(jnp.full(3, 2.0, jnp.float32))
            self.shift = nnx.Param(jnp.ones(3, jnp.float32))

        def __call__(self, x):
            return self.factor[None] * x + self.shift[None]

    model = from_nnx(Scaled)
    params, state = jax.jit(model.init)(jax.random.key(0))
    assert (list(params), list(state)) == (["shift"], ["factor"])
    out, after = model.apply(params, state, INPUTS, train=True)
    np.testing.assert_allclose(out, 2 * INPUTS + 1)
    assert_equal(after, state)


def test_the_mode_reaches_a_call_that_asks_for_it():
    class Asks(nnx.Module):
        def __init__(self, rngs):
            pass

        def __call__(self, x, train):
            return train

    model = from_nnx(Asks)
    assert model.apply({}, {}, INPUTS, train=True)[0] is True
    assert model.apply({}, {}, INPUTS, train=False)[0] is False


def test_what_a_call_sows_is_dropped():
    class Sower(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(3, 2, rngs=rngs, **F32)
            self.calls = nnx.BatchStat(jnp.int32(0))

        def __call__(self, x):
            self.calls[...] += jnp.int32(1)
            self.extra = nnx.Intermediate(x)
            return self.linear(x)

    model = from_nnx(Sower)
    params, state = jax.jit(model.init)(jax.random.key(0))
    _, after = model.apply(params, state, INPUTS, train=True)
    assert list(after) == ["calls"]
    assert int(after["calls"]) == 1


def test_gradient_is_of_the_parameters_alone(net):
    model, params, state = net
    loss = lambda p: jnp.mean(model.apply(p, state, INPUTS, train=True)[0] ** 2)
    grads = jax.jit(jax.grad(loss))(params)
    assert trees.differences(params, grads) == []
    assert all(jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(grads))


@pytest.mark.full
def test_dropout_follows_the_key():
    model = from_nnx(lambda rngs: Net(rngs, rate=0.5))
    params, state = jax.jit(model.init)(jax.random.key(0))
    run = jax.jit(lambda k: model.apply(params, state, INPUTS, train=True, key=k)[0])
    one, again, two = (run(jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, two)
    model.apply(params, state, INPUTS, train=False)  # needs no key


@pytest.mark.full
def test_a_module_with_its_own_stream_counts_in_the_state():
    model = from_nnx(Stateful)
    params, state = jax.jit(model.init)(jax.random.key(0))
    stream = state["dropout"]["rngs"]
    assert jnp.issubdtype(stream["key"].dtype, jax.dtypes.prng_key)
    step = jax.jit(lambda s: model.apply(params, s, INPUTS, train=True))
    first, state1 = step(state)
    again, _ = step(state)
    second, _ = step(state1)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, second)
    assert trees.differences(state, state1) == []
    assert int(state1["dropout"]["rngs"]["count"]) == int(stream["count"]) + 1


@pytest.mark.full
def test_vmap_over_keys_and_parameters_is_a_loop(net):
    model = net[0]
    keys = jax.random.split(jax.random.key(7), 2)
    params, state = jax.jit(jax.vmap(model.init))(keys)
    run = lambda p, s: model.apply(p, s, INPUTS, train=True)
    together = jax.jit(jax.vmap(run))(params, state)
    for i in range(2):
        one = jax.jit(model.init)(keys[i])
        pick = lambda tree, i=i: jax.tree.map(lambda x: x[i], tree)
        assert_close(pick((params, state)), one)
        assert_close(pick(together), jax.jit(run)(*one))


def test_a_step_is_traced_once(net):
    model, params, state = net
    traces = []

    @jax.jit
    def step(params, state, x):
        traces.append(1)
        out, state = model.apply(params, state, x, train=True)
        return jax.tree.map(lambda p: p * jnp.mean(out), params), state

    for i in range(3):
        params, state = step(params, state, jnp.asarray(INPUTS) + jnp.float32(i))
    assert len(traces) == 1


def test_shared_parameters_appear_once():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(3, 3, rngs=rngs, **F32)
            self.second = self.first

        def __call__(self, x):
            return self.second(self.first(x))

    model = from_nnx(Tied)
    params, state = jax.jit(model.init)(jax.random.key(0))
    assert len(jax.tree.leaves(params)) == 2
    kernel, bias = params["first"]["kernel"], params["first"]["bias"][None]
    out, _ = model.apply(params, state, INPUTS, train=False)
    assert_close(out, (INPUTS @ kernel + bias) @ kernel + bias)


def test_a_missing_parameter_is_named(net):
    model, params, state = net
    broken = {**params, "head": {"kernel": params["head"]["kernel"]}}
    with pytest.raises(InputError, match="head/bias is missing"):
        model.apply(broken, state, INPUTS, train=False)


def test_build_must_give_a_module():
    with pytest.raises(InputError, match="must return a flax nnx module; got dict"):
        from_nnx(lambda rngs: {"a": nnx.Param(rngs.params())})


def test_linen_equals_nnx_on_the_same_weights(net):
    model, params, state = net
    other = from_linen(LinenNet(), INPUTS)
    theirs = as_linen(params, state)
    shapes = jax.eval_shape(other.init, jax.random.key(0))
    assert trees.differences(shapes, theirs) == []
    for train in (False, True):
        ours, new = model.apply(params, state, INPUTS, train=train)
        out, new_linen = other.apply(*theirs, INPUTS, train=train)
        assert_close(out, ours)
        assert_close(new_linen, as_linen(params, new)[1])


def test_linen_initialisation_is_that_of_the_module():
    model = from_linen(LinenNet(), jax.ShapeDtypeStruct((1, 3), jnp.float32))
    params, state = jax.jit(model.init)(jax.random.key(0))
    expected = LinenNet().init(jax.random.key(0), INPUTS, train=False)
    assert_close({"params": params, **state}, expected)


def test_linen_dropout_and_statistics():
    model = from_linen(LinenNet(rate=0.5), INPUTS)
    params, state = jax.jit(model.init)(jax.random.key(0))
    run = jax.jit(lambda k: model.apply(params, state, INPUTS, train=True, key=k))
    (one, new), (again, _), (two, _) = (run(jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, two)
    assert trees.differences(state, new) == []
    with pytest.raises(InputError, match="pass key="):
        model.apply(params, state, INPUTS, train=True)


def test_linen_takes_deterministic_or_no_mode():
    class Deterministic(linen.Module):
        @linen.compact
        def __call__(self, x, deterministic: bool):
            return linen.Dropout(0.5)(x, deterministic=deterministic)

    model = from_linen(Deterministic(), INPUTS)
    out, _ = model.apply({}, {}, INPUTS, train=False)
    np.testing.assert_array_equal(out, INPUTS)
    out, _ = model.apply({}, {}, INPUTS, train=True, key=jax.random.key(0))
    assert not np.allclose(out, INPUTS)
    plain = from_linen(linen.Dense(2, **F32), INPUTS)
    params, state = jax.jit(plain.init)(jax.random.key(0))
    assert state == {}
    assert plain.apply(params, state, INPUTS, train=True)[0].shape == (5, 2)


def test_linen_takes_the_mode_of_its_configuration():
    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float = 0.5
        deterministic: bool = False

    class Inner(linen.Module):
        config: Config

        @linen.compact
        def __call__(self, x):
            dropout = linen.Dropout(self.config.rate)
            return dropout(x, deterministic=self.config.deterministic)

    class Net(linen.Module):
        config: Config

        @linen.compact
        def __call__(self, x):
            return Inner(self.config)(x)

    x = jnp.ones((4, 8))
    for given in (Config(), Config(deterministic=True)):
        model = from_linen(Net(given), x)
        key = jax.random.key(1)
        np.testing.assert_array_equal(model.apply({}, {}, x, train=False)[0], x)
        dropped, _ = model.apply({}, {}, x, train=True, key=key)
        assert {*np.unique(dropped).tolist()} == {0.0, 2.0}


def test_linen_state_that_grows_is_refused():
    class Sower(linen.Module):
        @linen.compact
        def __call__(self, x):
            self.sow("seen", "x", x)
            return x

    model = from_linen(Sower(), INPUTS)
    params, state = model.init(jax.random.key(0))
    with pytest.raises(InputError, match="changed the structure"):
        model.apply(params, state, INPUTS, train=True)


def test_trains(net):
    model, params, state = net
    tx = optax.sgd(0.1)
    target = jnp.ones((5, 2), jnp.float32)

    @jax.jit
    def step(params, state, opt_state):
        def loss_fn(p):
            out, new = model.apply(p, state, INPUTS, train=True)
            return jnp.mean((out - target) ** 2), new

        (loss, state_), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), state_, opt_state, loss

    opt_state, losses = tx.init(params), []
    for _ in range(20):
        params, state, opt_state, loss = step(params, state, opt_state)
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]


def test_no_warnings_from_flax(net):
    model, params, state = net
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", DeprecationWarning)
        model.apply(params, state, INPUTS, train=True)
        model.apply(params, state, INPUTS, train=False)
    assert not [w for w in seen if issubclass(w.category, DeprecationWarning)]


def test_functional_is_two_functions(net):
    assert Functional._fields == ("init", "apply")
    assert isinstance(net[0], Functional)


class Demanding(nnx.Module):
    """Dropout whose streams have no default, as in flax's MNIST example."""

    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, rngs):
        return self.dropout(x, rngs=rngs)


def test_streams_without_a_default_are_none_in_evaluation():
    functional = from_nnx(Demanding)
    x = jnp.ones((4, 8))
    params, state = functional.init(jax.random.key(0))
    out, _ = functional.apply(params, state, x, train=False)
    np.testing.assert_array_equal(out, x)
    dropped, _ = functional.apply(params, state, x, train=True, key=jax.random.key(1))
    assert {*np.unique(dropped)} == {0.0, 2.0}
