"""einspace: draws whose shapes fit, modules against arithmetic, mutations, training."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Grammar,
    Node,
    as_text,
    count_parameters,
    einspace_evolution,
    einspace_network,
    from_text,
    infer_shape,
    module_function,
    mutate_architecture,
    sample_architecture,
)
from jaxopt_lab.search.einspace import network
from jaxopt_lab.search.einspace.nodes import (
    ShapeError,
    branches_of,
    computations,
    nodes_of,
    routed_shape,
    split_shape,
)
from jaxopt_lab.training import init_state, make_train_step

SHAPE = (8, 8, 2)
RNG = np.random.default_rng(0)


def key(*numbers):
    return jax.random.wrap_key_data(jnp.asarray(numbers, jnp.uint32))


@functools.cache
def drawn(count=1000):
    bits = np.random.default_rng(5).integers(0, 2**32, (count, 2), np.uint32)
    return [sample_architecture(jax.random.wrap_key_data(b), SHAPE) for b in bits]


def leaf(op, units=0):
    return Node("computation", (op, units))


SAME = leaf("identity")


def steps(node, shape, found):
    """The functions that a tree applies, with the shapes in front and behind."""
    if node.kind == "computation":
        found.add(("compute", node.options, (shape,), infer_shape(node, shape)))
    elif node.kind == "sequential":
        for child in node.children:
            steps(child, shape, found)
            shape = infer_shape(child, shape)
    elif node.kind == "branching":
        split, many, aggregate = node.options
        part = split_shape(split, many, shape)
        found.add(("split", (split, many), (shape,), part))
        for child in node.children:
            steps(child, part, found)
        outs = tuple(infer_shape(b, part) for b in branches_of(node))
        found.add(("aggregate", aggregate, outs, infer_shape(node, shape)))
    else:
        before, after = node.options
        inner = routed_shape(before, shape)
        found.add(("route", before, (shape,), inner))
        steps(node.children[0], inner, found)
        if after[0] == "permute":
            out = infer_shape(node.children[0], inner)
            found.add(("route", after, (out,), infer_shape(node, shape)))


def applied(name, options, *xs):
    if name == "compute":
        node, shape = Node("computation", options), xs[0].shape[1:]
        f = module_function(node, shape)
        return f.apply(*f.init(key(0, 0)), xs[0], train=True)[0]
    if name == "split":
        return network.split_parts(*options, xs[0])[-1]
    if name == "aggregate":
        return network.aggregate_parts(options, list(xs))
    return network.route(options, xs[0])


def test_every_draw_has_the_shapes_that_its_functions_give():
    found = set()
    for node in drawn():
        assert node.kind != "computation" and computations(node) <= 64
        steps(node, SHAPE, found)
    names = {(name, options) for name, options, *_ in found}
    assert len(names) > 30
    cases = sorted(found, key=str)[:: 1 + len(found) // 150]
    for name, options, before, after in cases:
        xs = [jax.ShapeDtypeStruct((3, *shape), np.float32) for shape in before]
        run = functools.partial(applied, name, options)
        assert jax.eval_shape(run, *xs).shape == (3, *after), (name, options, before)


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(i, marks=pytest.mark.full) for i in range(1, 100))]
)
def test_networks_of_draws_are_traced(part):
    for node in drawn()[10 * part : 10 * part + (3 if part == 0 else 10)]:
        net = einspace_network(node, SHAPE, 10)
        start = jax.eval_shape(net.init, key(0, 0))
        x = jax.ShapeDtypeStruct((3, *SHAPE), np.float32)
        for train in (True, False):
            run = functools.partial(net.apply, train=train)
            y, state = jax.eval_shape(run, *start, x)
            assert y.shape == (3, 10)
            assert jax.tree.map(np.shape, state) == jax.tree.map(np.shape, start[1])
        size = sum(a.size for a in jax.tree.leaves(start[0]))
        head = 10 * (infer_shape(node, SHAPE)[-1] + 1)
        assert size == count_parameters(node, SHAPE) + head


SMALL = sorted(range(1000), key=lambda i: (computations(drawn()[i]) != 2, i))


@pytest.mark.parametrize(
    "i", [0, *(pytest.param(i, marks=pytest.mark.full) for i in range(1, 200))]
)
def test_networks_of_draws_train(i):
    node = drawn()[SMALL[0]] if i == 0 else drawn()[i]
    net = einspace_network(node, SHAPE, 3)

    def loss_fn(params, state, batch, key):
        y, state = net.apply(params, state, batch["x"], train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(y, batch["y"])
        return jnp.mean(losses), (state, {})

    tx = optax.sgd(0.01)

    # Quickly compiled: every network is a program of its own, which runs once.
    @functools.partial(jax.jit, compiler_options=QUICK)
    def run(x, y):
        params, state = net.init(key(0, i))
        train = init_state(tx, params, key(1, i), model_state=state)
        after, metrics = make_train_step(loss_fn, tx)(train, {"x": x, "y": y})
        moved = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), params, after.params)
        return metrics["loss"], moved["head"]

    x = jnp.asarray(np.random.default_rng(i).normal(size=(4, *SHAPE)), jnp.float32)
    loss, moved = run(x, jnp.array([0, 1, 2, 1]))
    assert np.isfinite(loss) and moved["bias"] > 0


def test_twenty_networks_of_draws_train_a_step():
    nets = [einspace_network(drawn()[i], SHAPE, 3) for i in SMALL[1:21]]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, *SHAPE)), np.array([0, 1, 2, 1])

    def filled(leaf):
        return jnp.asarray(rng.normal(size=leaf.shape) / 9, leaf.dtype)

    starts = [jax.tree.map(filled, jax.eval_shape(n.init, key(0, 0))) for n in nets]

    def run(starts, x):
        out = []
        for net, (params, state) in zip(nets, starts, strict=True):

            def loss(params, net=net, state=state):
                z, _ = net.apply(params, state, x, train=True)
                return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(z, y))

            before, slopes = jax.value_and_grad(loss)(params)
            moved = jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes)
            out.append((before, moved))
        return out

    # Compiled without most optimizations: twenty networks take a few seconds.
    quick = {"xla_backend_optimization_level": 0}
    program = jax.jit(run).lower(starts, x.astype(np.float32)).compile(quick)
    for (params, _), (before, moved) in zip(
        starts, program(starts, x.astype(np.float32)), strict=True
    ):
        assert np.isfinite(before)
        change = jnp.abs(moved["head"]["bias"] - params["head"]["bias"])
        assert change.max() > 1e-4


def test_modules_are_the_arithmetic_that_they_stand_for():
    x = RNG.normal(size=(2, 6, 5, 4)).astype(np.float32)
    column = RNG.normal(size=(2, 4, 6)).astype(np.float32)
    kernel = RNG.normal(size=(9 * 4, 3)).astype(np.float32)
    w = [RNG.normal(size=(6, 5)).astype(np.float32) for _ in range(3)]
    both = lambda split, how: Node("branching", (split, 2, how), (SAME, SAME))
    turn = Node("routing", (("permute", 2, 0, 1), ("permute", 1, 2, 0)), (SAME,))
    pixel = Node("routing", (("im2col", 1, 1, 0), ("col2im",)), (SAME,))
    conv = Node("routing", (("im2col", 3, 1, 1), ("col2im",)), (leaf("linear", 3),))
    keys = Node("routing", (("identity",), ("permute", 1, 0)), (leaf("linear", 5),))
    scores = Node("branching", ("clone", 2, "scaled_dot"), (leaf("linear", 5), keys))
    weights = Node("sequential", (), (scores, leaf("softmax")))
    attention = Node("branching", ("clone", 2, "dot"), (weights, leaf("linear", 5)))

    @jax.jit
    def run(x, column):
        def value(node, x, own=()):
            f = module_function(node, x.shape[1:])
            params = f.init(key(0, 0))[0]
            for name, matrix in zip(sorted(params), own, strict=True):
                params[name] = {**params[name], "kernel": jnp.asarray(matrix)}
            return f.apply(params, {}, x, train=True)[0]

        return {
            "twice": value(both("clone", "add"), x),
            "joined": value(both("group", "concat"), x),
            "turned": value(turn, x),
            "pixel": value(pixel, x),
            "conv": value(conv, x, [kernel]),
            "wanted": jax.lax.conv_general_dilated(
                x,
                jnp.asarray(kernel).reshape(3, 3, 4, 3),
                (1, 1),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            ),
            "attention": value(attention, column, w),
        }

    found = jax.tree.map(np.asarray, run(x, column))
    np.testing.assert_array_equal(found["twice"], 2 * x)
    for name in ("joined", "turned", "pixel"):
        np.testing.assert_array_equal(found[name], x)
    np.testing.assert_allclose(found["conv"], found["wanted"], atol=1e-4)
    q, k, v = (column @ m for m in w)
    z = q @ k.swapaxes(1, 2) / np.sqrt(5)
    p = np.exp(z - z.max(-1, keepdims=True))
    want = p / p.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(found["attention"], want, rtol=2e-4, atol=1e-4)


def test_a_mutation_changes_one_subtree_by_another_production():
    for i, node in enumerate(drawn()[:25]):
        child = mutate_architecture(key(9, i), node, SHAPE)
        infer_shape(child, SHAPE)
        places = dict(nodes_of(child))
        # The deepest place below which everything differs, and nothing beside it.
        ways = [
            path
            for path, old in nodes_of(node)
            if path in places
            and places[path].kind != old.kind
            and _with(node, path, places[path]) == child
        ]
        assert ways, (as_text(node), as_text(child))
        assert child.kind != "computation"
        assert mutate_architecture(key(9, i), node, SHAPE) == child


def _with(node, path, new):
    if not path:
        return new
    i, *rest = path
    children = list(node.children)
    children[i] = _with(children[i], rest, new)
    return Node(node.kind, node.options, tuple(children))


def test_inner_modules_are_as_many_as_the_probabilities_say():
    grammar = Grammar()
    assert abs(grammar.mean_offspring() - 0.982) < 1e-3
    rng = np.random.default_rng(0)
    kinds = rng.choice(4, 20_000, p=grammar.probabilities)
    branches = np.where(rng.choice(grammar.branches, 20_000) == 2, 2, 1)
    counts = np.choose(kinds, [2, branches, 1, 0])
    assert abs(np.mean(counts) - grammar.mean_offspring()) < 0.02


def test_evolution_goes_on_from_text():
    search = einspace_evolution(SHAPE, population=4, tournament=2)
    score = lambda c: -float(computations(from_text(c["architecture"])))
    state = search.init()
    for i in range(12):
        again = json.loads(json.dumps(state))
        candidate = search.ask(state, key(4, i))
        assert candidate == search.ask(again, key(4, i))
        state = search.tell(state, candidate, score(candidate))
    assert len(state["members"]) == 4 and state["told"] == 12
    start = Node("sequential", (), (SAME, leaf("linear", 16)))
    seeded = einspace_evolution(SHAPE, population=3, starts=[start])
    first = seeded.ask(seeded.init(), key(4, 0))
    assert from_text(first["architecture"]) == start


BAD = {
    "a grammar needs terminals": lambda: Grammar(probabilities=(0.5, 0.3, 0.2, 0.0)),
    "a grammar needs terminals: ": lambda: Grammar(ops=()),
    "a grammar needs terminals:": lambda: Grammar(ops=("linear",), units=()),
    "probabilities must be four numbers": lambda: Grammar(
        probabilities=(0.5, 0.3, 0.1, 0.0)
    ),
    "ops must be of": lambda: Grammar(ops=("attention",)),
    "no architecture for inputs": lambda: sample_architecture(
        key(0, 0), SHAPE, grammar=Grammar(max_elements=1)
    ),
    "no architecture: ": lambda: from_text("[1, 2]"),
    "shape must be": lambda: einspace_evolution((8,)),
    "add does not take": lambda: infer_shape(
        Node("branching", ("clone", 2, "add"), (SAME, leaf("linear", 16))), SHAPE
    ),
    "3 groups": lambda: split_shape("group", 3, SHAPE),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises(InputError, match=message) as error:
        BAD[message]()
    assert "\n" not in str(error.value)


def test_col2im_needs_the_columns_of_its_im2col():
    strided = Node("routing", (("im2col", 4, 4, 0), ("col2im",)), (leaf("linear", 16),))
    assert infer_shape(strided, SHAPE) == (2, 2, 16)
    for before, after in itertools.product((("identity",),), (("col2im",),)):
        with pytest.raises(ShapeError):
            infer_shape(Node("routing", (before, after), (SAME,)), SHAPE)


def test_statistics_of_a_divided_batch_are_those_of_the_whole():
    f = module_function(leaf("norm"), (2, 2, 3))
    x = RNG.normal(size=(8, 2, 2, 3)).astype(np.float32)

    @jax.jit
    def run(x):
        params, state = f.init(key(0, 0))
        part = functools.partial(f.apply, params, state, train=True, axis_name="data")
        parts = jax.vmap(part, axis_name="data")(x.reshape(2, 4, 2, 2, 3))
        return parts, f.apply(params, state, x, train=True)

    (y, state), (whole, kept) = jax.tree.map(np.asarray, run(x))
    np.testing.assert_allclose(y.reshape(x.shape), whole, atol=1e-5)
    for name in ("mean", "variance"):
        own = state["root"][name]
        np.testing.assert_allclose(own[0], kept["root"][name], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(own[0], own[1])
