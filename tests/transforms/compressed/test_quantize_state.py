"""Coded state of any transformation: decode, run, encode."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import cases

import jaxopt_lab
from jaxopt_lab import quantize_state
from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms import compressed

INNER = {
    "adam": lambda: optax.adam(1e-2),
    "adamw": lambda: optax.adamw(1e-2),
    "momentum": lambda: optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "lion": lambda: optax.lion(1e-3),
    "rmsprop": lambda: optax.rmsprop(1e-2, centered=True, momentum=0.9),
    "adagrad": lambda: optax.adagrad(1e-2),
    "amsgrad": lambda: optax.amsgrad(1e-2),
    "yogi": lambda: optax.yogi(1e-2),
    "adafactor": lambda: optax.adafactor(1e-2),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
}
ELEMENTWISE = [name for name in INNER if name not in ("adafactor", "clipped")]
EXACT = codes.Cast("float32")
# Small tensors too, so that tests are quick; chunks of two blocks.
SMALL = {"select": compressed.moments(1)}


def params(dtype=jnp.float32):
    draw = np.random.default_rng(0)
    shapes = {"w": (24, 64), "odd": (37, 11), "b": (5,), "s": ()}
    return {k: jnp.asarray(draw.normal(size=s), dtype) for k, s in shapes.items()}


def gradients(t, like):
    draw = np.random.default_rng(t + 1)
    return jax.tree.map(lambda p: jnp.asarray(draw.normal(size=p.shape), p.dtype), like)


def trajectory(tx, start, steps=4):
    """Parameters after a few steps, and the last state."""
    state, at, update = tx.init(start), start, jax.jit(tx.update)
    for t in range(steps):
        updates, state = update(gradients(t, start), state, at)
        at = optax.apply_updates(at, updates)
    return at, state


@pytest.mark.full(
    plain=[
        "momentum-whole",
        "momentum-elements",
        "adagrad-whole",
        "adafactor-elements",
        "clipped-elements",
    ]
)
@pytest.mark.parametrize("elementwise", [False, True], ids=["whole", "elements"])
@pytest.mark.parametrize("name", INNER)
def test_a_code_of_32_bits_is_the_transformation_itself(name, elementwise):
    if elementwise and name not in ELEMENTWISE:
        return
    start = params()
    tx = quantize_state(
        INNER[name](), m=EXACT, v=EXACT, elementwise=elementwise, chunk=512, **SMALL
    )
    (got, state), (wanted, inner) = (trajectory(x, start) for x in (tx, INNER[name]()))
    exact = {"rtol": 0, "atol": 0} if not elementwise else {"rtol": 2e-6, "atol": 1e-7}
    chex.assert_trees_all_close((got, state.inner), (wanted, inner), **exact)


@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(ELEMENTWISE, {"adam"}))
def test_by_elements_is_as_a_whole(name):
    start = params()
    results = [
        trajectory(
            quantize_state(INNER[name](), elementwise=e, chunk=c, **SMALL), start
        )
        for e, c in ((False, None), (True, None), (True, 512))
    ]
    for got in results[1:]:
        # A code on the edge between two may fall to either side.
        chex.assert_trees_all_close(got[0], results[0][0], rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_scales_and_codes_have_the_paths_of_the_state():
    start = params()
    tx = quantize_state(optax.adam(1e-2), select=compressed.moments(1000))
    state = tx.init(start)
    inner = optax.adam(1e-2).init(start)
    assert jax.tree.structure(state.inner) == jax.tree.structure(inner)
    # The same leaves, and no field of the state twice.
    paths = lambda tree: [
        trees.path_name(p) for p, _ in jax.tree.leaves_with_path(tree)
    ]
    assert paths(state.scales) == paths(inner)
    assert int(optax.tree_utils.tree_get(state, "count")) == 0
    assert optax.tree_utils.tree_get(state, "mu") is state.inner[0].mu
    assert state.scales[0].mu["w"].shape == (6, 1)
    assert "count" in repr(state.scales) and not hasattr(state.scales[0], "trace")
    marked = optax.tree.map_params(tx, lambda x: None, state)
    assert [x.shape for x in jax.tree.leaves(marked)] == [(), ()]
    assert state.inner[0].mu["w"].dtype == jnp.uint8
    assert state.inner[0].mu["odd"].dtype == jnp.float32
    assert state.offsets is None and state.key is None


def loss(weights, x, y):
    """Softmax regression, on inputs that differ in size by a hundred."""
    scores = jax.nn.log_softmax(x @ weights)
    return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))


@functools.cache
def largest_step(second, round_to_zero=False):
    """Largest update over the learning rate in a badly scaled problem."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(256, 40)) * 10.0 ** np.linspace(-2, 0, 40)
    y = jnp.asarray(draw.integers(0, 6, 256))
    x, rate = jnp.asarray(x, jnp.float32), 1e-3
    v = {
        "dynamic": codes.dynamic(8, signed=False),
        "dynamic 4": codes.dynamic(4, signed=False),
        "root": codes.SquareRoot(round_up=True),
        "linear": codes.Linear("tensor"),
        "linear from min to max": codes.Linear("tensor", symmetric=False),
    }[second]
    tx = quantize_state(
        optax.adam(rate), m=None, v=v, round_to_zero=round_to_zero, **SMALL
    )

    def step(carry, key):
        weights, state = carry
        rows = jax.random.randint(key, (16,), 0, 256)
        grads = jax.grad(loss)(weights, x[rows], y[rows])
        updates, state = tx.update(grads, state, weights)
        return (weights + updates, state), jnp.max(jnp.abs(updates))

    weights = jnp.zeros((40, 6), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 150)
    _, steps = jax.jit(lambda c: jax.lax.scan(step, c, keys))(
        (weights, tx.init(weights))
    )
    return float(jnp.max(steps)) / rate


@pytest.mark.full
def test_linear_second_moments_diverge_and_the_default_does_not():
    assert largest_step("dynamic") < 10
    assert largest_step("dynamic 4") < 10
    assert largest_step("root") < 10
    # Its second moments become zero, and the steps divide by their roots.
    assert largest_step("linear", True) > 100
    assert largest_step("linear from min to max", True) > 100
    # With the smallest code above zero they do not.
    assert largest_step("linear") < 10
    assert largest_step("linear from min to max") < 10
    defaults = quantize_state(optax.adam(1e-2), **SMALL).init(params())
    linear = quantize_state(optax.adam(1e-2), v=codes.Linear(256), **SMALL)
    with np.testing.assert_raises(AssertionError):
        chex.assert_trees_all_equal(defaults.inner, linear.init(params()).inner)


BYTES = {"adamw8bit": 2.04, "adamw4bit": 1.07, "adamw_fp8": 2.04}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_of_state(name):
    shapes = {
        "kernel": jax.ShapeDtypeStruct((3, 3, 512, 512), jnp.float32),
        "odd": jax.ShapeDtypeStruct((257, 129), jnp.float32),
        "bias": jax.ShapeDtypeStruct((512,), jnp.float32),
    }
    state = jax.eval_shape(getattr(jaxopt_lab, name)(1e-3).init, shapes)
    assert trees.nbytes(state) / trees.count(shapes) <= BYTES[name]


@pytest.mark.full
@pytest.mark.parametrize("name", ["adamw8bit", "adamw4bit", "adamw_linear"])
def test_mask_and_schedules(name):
    start = params()
    make = getattr(jaxopt_lab, name)
    mask = {"w": True, "odd": False, "b": True, "s": False}
    numbers = {"weight_decay": 0.3, "min_size": 1, "chunk": 512}
    got, _ = trajectory(make(lambda t: 1e-2 * (t + 1), mask=mask, **numbers), start)
    at, tx = start, make(1.0, mask=None, **{**numbers, "weight_decay": 0.0})
    state = tx.init(start)
    for t in range(4):
        updates, state = jax.jit(tx.update)(gradients(t, start), state, at)
        rate = 1e-2 * (t + 1)
        at = {
            k: p + rate * (updates[k] - (0.3 * p if mask[k] else 0))
            for k, p in at.items()
        }
    chex.assert_trees_all_close(got, at, rtol=1e-3, atol=1e-5)


@pytest.mark.full
def test_stochastic_rounding_goes_by_the_key_alone():
    start = params()
    make = functools.partial(jaxopt_lab.adamw8bit, 1e-2, min_size=1, stochastic=True)
    one, state = trajectory(make(chunk=512), start)
    two, _ = trajectory(make(chunk=None), start)
    chex.assert_trees_all_close(one, two, rtol=1e-3, atol=1e-4)
    assert float(jnp.mean(one["w"] == two["w"])) > 0.95
    other, _ = trajectory(make(chunk=512, seed=1), start)
    assert float(jnp.max(jnp.abs(one["w"] - other["w"]))) > 0
    first = make().init(start).key
    assert not bool(
        jnp.all(jax.random.key_data(first) == jax.random.key_data(state.key))
    )


@pytest.mark.full
def test_bfloat16_parameters_keep_float32_moments():
    start = params(jnp.bfloat16)
    after, state = trajectory(jaxopt_lab.adamw8bit(1e-2, min_size=1000), start)
    assert all(p.dtype == jnp.bfloat16 for p in after.values())
    assert state.inner.mu["odd"].dtype == jnp.float32


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: quantize_state(optax.adam(1e-3), m=8), "m must be a codec.*got 8"),
        (lambda: quantize_state(optax.adam(1e-3), chunk=0), "chunk must be a whole"),
        (
            lambda: quantize_state(optax.adam(1e-3), straight_through="codes"),
            "straight_through must be True or False; got 'codes'",
        ),
        (lambda: jaxopt_lab.adamw8bit(1e-3, b1=1.0), r"b1 must lie in \[0, 1\)"),
        (lambda: jaxopt_lab.adamw4bit(1e-3, eps=-1.0), "eps must be at least 0"),
        (lambda: jaxopt_lab.adamw_linear(1e-3, second_moment="x"), "second_moment"),
        (lambda: compressed.moments(0), "min_size must be a whole number"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(InputError, match=text):
        make()


@pytest.mark.full
def test_roles_come_from_fields_and_not_from_names_of_parameters():
    start = {"mu": jnp.ones(8), "nu": {"trace": jnp.ones(8)}, "count": jnp.ones(8)}
    ours = {"m": codes.dynamic(8, block=4), "v": codes.FloatingPoint8(2), **SMALL}
    state = quantize_state(optax.adam(1e-2), **ours).init(start)
    for field, blocks in (("mu", 2), ("nu", 4)):
        scales = jax.tree.leaves(getattr(state.scales[0], field))
        assert [x.shape for x in scales] == [(blocks,)] * 3
    # A field that is no moment stays as it is, whatever its parameter is called.
    state = quantize_state(optax.scale_by_rprop(1e-2), **ours).init(start)
    assert all(x.dtype == jnp.float64 for x in jax.tree.leaves(state.inner))
    part = {"mu": optax.MaskedNode(), "w": jnp.ones(8)}
    state = quantize_state(optax.trace(0.9), **ours).init(part)
    assert state.scales.trace["w"].shape == (2,)
    # And parameters that are a NamedTuple of such names.
    adam = optax.adam(1e-2)
    pair = adam.init(jnp.ones(8))[0]._replace(count=jnp.ones(8))
    state = quantize_state(adam, **ours).init(pair)
    assert [x.shape for x in jax.tree.leaves(state.scales[0].nu)] == [(4,)] * 3


def small_row(tx):
    """Largest movement of a row with one gradient of 1e-3 beside a row of ones."""

    def step(carry, small):
        at, state = carry
        grads = jnp.ones_like(at).at[1].set(small)
        updates, state = tx.update(grads, state, at)
        return (optax.apply_updates(at, updates), state), None

    start = jnp.zeros((2, 64), jnp.float32)
    small = jnp.array([1e-3, 0.0, 0.0, 0.0, 0.0, 0.0], jnp.float32)
    (at, _), _ = jax.lax.scan(step, (start, tx.init(start)), small)
    return jnp.max(jnp.abs(at[1]))


FLOAT8 = functools.partial(jaxopt_lab.adamw_fp8, 1e-3, min_size=1, block=128)


@pytest.mark.full(plain=["linear"])
@pytest.mark.parametrize(
    "make",
    [
        FLOAT8,
        functools.partial(FLOAT8, stochastic=True),
        functools.partial(
            quantize_state, optax.adam(1e-3), m=None, v=codes.Linear(128), **SMALL
        ),
    ],
    ids=["float 8", "drawn", "linear"],
)
def test_an_element_that_rounds_to_zero_is_not_divided_by_eps(make):
    kept, lost = jax.jit(
        lambda: (small_row(make()), small_row(make(round_to_zero=True)))
    )()
    plain = 0.0033  # of AdamW
    assert 0 < kept <= 1.5 * plain
    # As bitsandbytes and torchao have it: the first moment over eps.
    assert lost > 100 * plain


DIVISORS = [
    codes.dynamic(8),
    codes.dynamic(8, signed=False),
    codes.dynamic(4, block=8),
    codes.dynamic(4, signed=False, block=8),
    codes.FloatingPoint8(),
    codes.Linear(8),
    codes.Linear(8, symmetric=False),
    codes.SquareRoot(bits=4),
]


@pytest.mark.full
def test_a_positive_code_is_above_zero_and_nothing_else_changes():
    x = jnp.array([0.0, 1e-30, 1e-12, 1e-4, 0.3, 1.0, 0.0, 0.5], jnp.float32)

    @jax.jit
    def rounded(key):
        return [
            (
                codec.rounded(x),
                codec.rounded(x, positive=True),
                codec.rounded(x, key=key, positive=True),
            )
            for codec in DIVISORS
        ]

    for plain, kept, drawn in rounded(jax.random.key(0)):
        assert bool(jnp.all(kept[x > 0] > 0)) and bool(jnp.all(drawn[x > 0] > 0))
        np.testing.assert_array_equal(kept[plain > 0], plain[plain > 0])
        np.testing.assert_array_equal(kept[x == 0], plain[x == 0])


def test_refusals_of_what_select_gives():
    start = params()
    wrong = quantize_state(optax.adam(1e-3), select=lambda path, leaf: "mu")
    with pytest.raises(InputError, match="select must give 'm', 'v' or None; got 'mu'"):
        wrong.init(start)
    counts = quantize_state(optax.adam(1e-3), select=lambda path, leaf: "m")
    with pytest.raises(InputError, match="select chose 0/count, of dtype int32"):
        counts.init(start)
    factored = quantize_state(optax.adafactor(1e-3), elementwise=True)
    with pytest.raises(InputError, match="moments of the parameters' shapes"):
        big = {"w": jnp.ones((256, 256))}
        factored.update(big, factored.init(big), big)
    with pytest.raises(InputError, match="update needs params"):
        tx = jaxopt_lab.adamw8bit(1e-3)
        tx.update(start, tx.init(start))
