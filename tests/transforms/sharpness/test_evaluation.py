"""eval_params wherever the state of a method stands."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state
from jaxopt_lab.transforms.sharpness import BsamState

W = {"a": np.array([1.0, -2.0]), "b": np.array(0.5)}
G = {"a": np.array([0.5, 0.25]), "b": np.array(1.0)}


def sgd():
    return optax.sgd(0.1, momentum=0.9)


def momentum_sam(rho=0.5):
    return jaxopt_lab.momentum_sam(sgd(), rho)


METHODS = {
    "momentum_sam": momentum_sam,
    "stale_sam": lambda: jaxopt_lab.stale_sam(sgd(), 0.5),
    "lookahead": lambda: jaxopt_lab.lookahead(sgd(), k=3),
    "bsam": lambda: jaxopt_lab.bsam(0.1, num_data=5),
    "schedule_free": lambda: optax.contrib.schedule_free(sgd(), 0.1),
}


def after(tx, params=W, grads=G):
    """Parameters and state after two steps."""
    tx = optax.with_extra_args_support(tx)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(grads, state, params, grad_fn=lambda p: grads)
        params = optax.apply_updates(params, updates)
    return params, state


def part(tree, names):
    return {k: tree[k] for k in names}


@pytest.mark.full(plain=["momentum_sam"])
@pytest.mark.parametrize("name", METHODS)
def test_one_group_of_a_partition_and_a_mask(name):
    alone, state = after(METHODS[name](), part(W, "a"), part(G, "a"))
    expected = jaxopt_lab.eval_params(alone, state)
    assert np.max(np.abs(expected["a"] - alone["a"])) > 1e-3
    masked = jaxopt_lab.masked(METHODS[name](), {"a": True, "b": False})
    groups = {"one": METHODS[name](), "rest": optax.sgd(0.1)}
    parted = jaxopt_lab.partition(groups, {"a": "one", "b": "rest"})
    for tx in (masked, parted, optax.chain(optax.identity(), parted)):
        params, state = after(tx)
        got = jaxopt_lab.eval_params(params, state)
        chex.assert_trees_all_close(got["a"], expected["a"], rtol=1e-12)
        chex.assert_trees_all_equal(got["b"], params["b"])


def test_every_group_of_a_partition_has_its_own():
    groups = {"one": momentum_sam(0.5), "two": METHODS["stale_sam"]()}
    tx = jaxopt_lab.partition(groups, {"a": "one", "b": "two"})
    got = jaxopt_lab.eval_params(*after(tx))
    for name, key in (("momentum_sam", "a"), ("stale_sam", "b")):
        alone = after(METHODS[name](), part(W, key), part(G, key))
        expected = jaxopt_lab.eval_params(*alone)[key]
        chex.assert_trees_all_close(got[key], expected, rtol=1e-12)


def test_a_group_without_leaves_says_nothing():
    groups = {"one": momentum_sam(), "rest": optax.sgd(0.1)}
    tx = jaxopt_lab.partition(groups, {"a": "rest", "b": "rest"})
    params, state = after(tx)
    chex.assert_trees_all_equal(jaxopt_lab.eval_params(params, state), params)


def test_schedule_free_is_optaxs_own():
    params, state = after(METHODS["schedule_free"]())
    expected = optax.contrib.schedule_free_eval_params(state, params)
    chex.assert_trees_all_equal(jaxopt_lab.eval_params(params, state), expected)


def test_schedule_free_around_perturbed_parameters_is_told():
    tx = optax.contrib.schedule_free(momentum_sam(), 0.1)
    with pytest.raises(InputError, match="schedule_free cannot own an optimizer"):
        jaxopt_lab.eval_params(W, tx.init(W))


NAMES = ["sam", "asam", "samson", "gsam", "looksam", "multistep_sam", "friendly_sam"]
LINKS = [getattr(jaxopt_lab, name)() for name in [*NAMES, "vasso", "esam"]]
OTHERS = [METHODS[name]() for name in METHODS if name != "schedule_free"]
WRAPPERS = [jaxopt_lab.wsam(sgd(), learning_rate=0.1), jaxopt_lab.lookbehind(sgd())]


@pytest.mark.parametrize("tx", [*LINKS, *OTHERS, *WRAPPERS])
@pytest.mark.parametrize(
    "params",
    [
        {"a": 1.0, "b": 2.0},
        {"a": np.float32(1), "b": np.float64(2)},
        {"a": np.ones(2), "b": None},
        {"a": np.ones(2), "b": np.zeros((0, 3))},
        {"a": np.ones(2), "n": np.int32(3)},
        {},
    ],
    ids=["numbers", "scalars", "none", "no elements", "integers", "empty"],
)
def test_trees_that_optax_takes_are_taken(tx, params):
    def run():
        grads = jax.tree.map(lambda x: jnp.asarray(x) * 1, params)
        trained, state = after(tx, params, grads)
        return jaxopt_lab.eval_params(trained, state)

    if "n" in params and isinstance(jax.eval_shape(tx.init, {"a": 1.0}), BsamState):
        with pytest.raises(InputError, match="bsam takes floating.*got int32 for 'n'"):
            run()
        return
    assert jax.tree.structure(jax.eval_shape(run)) == jax.tree.structure(params)


def test_shapes_are_refused_by_what_copies_the_parameters():
    shapes = {"a": jax.ShapeDtypeStruct((2,), jnp.float32)}
    with pytest.raises(InputError, match="lookahead keeps a copy.*eval_shape"):
        jaxopt_lab.lookahead(sgd()).init(shapes)
    jax.eval_shape(jaxopt_lab.lookahead(sgd()).init, shapes)
    momentum_sam().init(shapes)


def test_a_train_state_and_one_leaf():
    tx = momentum_sam()
    state = init_state(tx, jnp.ones(3), jax.random.key(0))
    got = jaxopt_lab.eval_params(state.params, state)
    chex.assert_trees_all_equal(got, state.params)


@pytest.mark.parametrize("name", ["momentum_sam", "stale_sam", "lookahead"])
def test_an_nnx_optimizer(name):
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self):
            self.a, self.b = (
                nnx.Param(jnp.asarray(W["a"])),
                nnx.Param(jnp.asarray(W["b"])),
            )

    model = Net()
    optimizer = nnx.Optimizer(model, METHODS[name](), wrt=nnx.Param)
    grads = nnx.state(model, nnx.Param)
    grads = jax.tree.unflatten(jax.tree.structure(grads), jax.tree.leaves(G))
    for _ in range(2):
        optimizer.update(model, grads)
    expected = jaxopt_lab.eval_params(*after(METHODS[name]()))
    params = nnx.state(model, nnx.Param)
    for state in (optimizer, optimizer.opt_state):
        got = jaxopt_lab.eval_params(params, state)
        assert jax.tree.structure(got) == jax.tree.structure(params)
        chex.assert_trees_all_close(
            jax.tree.leaves(got), jax.tree.leaves(expected), rtol=1e-12
        )
    with pytest.raises(InputError, match="a State in which the types.*are lost"):
        jaxopt_lab.eval_params(params, nnx.state(optimizer))


def test_codes_leave_the_momentum_of_a_perturbation_as_it_is():
    params = {"mu": np.ones((64, 64)), "trace": np.ones(3)}
    inner = {"adam": optax.adam(0.1), "rest": sgd()}
    labels = {"mu": "adam", "trace": "rest"}
    groups = {k: jaxopt_lab.momentum_sam(tx, 0.5) for k, tx in inner.items()}
    tx = jaxopt_lab.quantize_state(jaxopt_lab.partition(groups, labels))
    state = jax.eval_shape(tx.init, params)
    adam, rest = (state.inner.inner_states[name].inner_state for name in groups)
    assert adam.inner[0].mu["mu"].dtype == np.float64
    assert adam.inner[0].nu["mu"].dtype == np.uint8
    assert rest.inner[0].trace["trace"].dtype == np.float64
    # Of SGD nothing is left to code: step for step it is the method alone.
    params, grads = {"w": np.ones((64, 64))}, {"w": np.linspace(-1, 1, 4096)}
    grads["w"] = grads["w"].reshape(64, 64)
    coded, alone = (
        after(tx, params, grads)
        for tx in (jaxopt_lab.quantize_state(momentum_sam()), momentum_sam())
    )
    chex.assert_trees_all_equal(coded[0], alone[0])
    chex.assert_trees_all_equal(
        jaxopt_lab.eval_params(*coded), jaxopt_lab.eval_params(*alone)
    )
    trace = lambda path, leaf: "m" if "trace" in path else None
    chosen = jaxopt_lab.quantize_state(momentum_sam(), select=trace)
    with pytest.raises(InputError, match="trace/w, from which a perturbation"):
        jax.eval_shape(chosen.init, params)


@pytest.mark.full
def test_codes_leave_slow_weights_as_they_are():
    params = {"w": np.ones((64, 64))}
    tx = jaxopt_lab.quantize_state(METHODS["lookahead"]())
    got = jaxopt_lab.eval_params(params, tx.init(params))
    chex.assert_trees_all_equal(got, params)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda w, s: jaxopt_lab.eval_params(s, w), "got the state of an optimizer"),
        (
            lambda w, s: jaxopt_lab.eval_params(part(w, "a"), s),
            "params are not those of the",
        ),
        (lambda w, s: jaxopt_lab.eval_params(w, (s, s)), "several parameters to"),
        (
            lambda w, s: jaxopt_lab.eval_params(w, {"0": {"count": 1}}),
            "a dict in which the types",
        ),
    ],
)
def test_other_arguments_are_told(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call(W, momentum_sam().init(W))
    assert "\n" not in str(caught.value)


def test_swapped_arguments_of_any_optimizer_are_told():
    with pytest.raises(InputError, match="are the two swapped"):
        jaxopt_lab.eval_params(optax.adam(0.1).init(W), W)
