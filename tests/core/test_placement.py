"""Places that are silently wrong, told in a loop of one's own and in the train step."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core import placement
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

W = {"w": jnp.ones(2), "b": jnp.ones(())}
X = jnp.ones((4, 2))
MOMENTUM = optax.sgd(0.1, momentum=0.9)


def loss(p, x):
    return jnp.mean((x @ p["w"] + p["b"]) ** 2)


def own_loop(tx, plain=False, grads=None):
    """One traced step of a loop of one's own."""
    tx = tx if isinstance(tx, optax.MultiSteps) else optax.with_extra_args_support(tx)

    def step(w, state):
        grad_fn = jaxopt_lab.batch_grad(loss, X)
        first = grad_fn(w) if grads is None else grads(w, grad_fn)
        given = (lambda p: jax.grad(loss)(p, X)) if plain else grad_fn
        return tx.update(first, state, w, grad_fn=given)

    return jax.eval_shape(step, W, jax.eval_shape(tx.init, W))


def train_step(tx):
    step = make_train_step(lambda p, s, x, k: (loss(p, x), (s, {})), tx)
    return jax.eval_shape(step, init_state(tx, W, jax.random.key(0)), X)


LOOPS = {
    "batch_grad": own_loop,
    "plain": lambda tx: own_loop(tx, plain=True),
    "train step": train_step,
}

LINKS = {
    "sam": (jaxopt_lab.sam, "only the direction of the ascent, not"),
    "asam": (jaxopt_lab.asam, "only the direction of the ascent, not"),
    "gsam": (jaxopt_lab.gsam, "and the plain gradient of the decomposition"),
    "looksam": (jaxopt_lab.looksam, "and the plain gradient of the other steps"),
    "vasso": (jaxopt_lab.vasso, "the running average and the direction"),
    "esam": (jaxopt_lab.esam, "only the direction of the ascent, not"),
    "msam": (lambda: jaxopt_lab.msam(num_shards=2), "no effect, since msam computes"),
    "wsam": (
        lambda: jaxopt_lab.wsam(MOMENTUM, learning_rate=0.1),
        "and the plain gradient in the sharpness",
    ),
    "lookbehind": (
        lambda: jaxopt_lab.lookbehind(MOMENTUM),
        "only the direction of the first ascent",
    ),
    "bsam": (
        lambda: jaxopt_lab.bsam(0.1, num_data=4),
        "only the direction of the ascent and the precision",
    ),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_transform_in_front_is_told_with_what_it_changes(name):
    make, words = LINKS[name]
    with pytest.warns(UserWarning, match=f"in front of {name}: .*{words}") as caught:
        own_loop(optax.chain(optax.clip(0.1), make()))
    assert len(caught) == 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "tx",
    [
        optax.chain(optax.sgd(0.1), jaxopt_lab.sam()),
        optax.named_chain(("c", optax.clip(0.1)), ("s", jaxopt_lab.sam())),
        optax.chain(optax.clip(0.1), optax.chain(jaxopt_lab.sam(), MOMENTUM)),
        optax.chain(
            optax.clip(0.1),
            jaxopt_lab.masked(jaxopt_lab.sam(), {"w": True, "b": False}),
        ),
        optax.chain(optax.clip(0.1), optax.apply_if_finite(jaxopt_lab.sam(), 2)),
    ],
)
def test_a_transform_in_front_is_told_in_every_loop(tx, loop):
    with pytest.warns(UserWarning, match="stands in front of sam.*first in the chain"):
        LOOPS[loop](tx)


def test_a_link_at_the_end_gives_a_gradient_for_the_update():
    words = "What sam gives, a gradient, is then the update itself. Put sam first"
    with pytest.warns(UserWarning, match=words):
        own_loop(optax.chain(optax.sgd(0.1), jaxopt_lab.sam()))
    with pytest.warns(UserWarning, match="in front of sam") as caught:
        own_loop(optax.chain(optax.clip(0.1), jaxopt_lab.sam(), MOMENTUM))
    assert "update itself" not in str(caught[0].message)
    for name in ("wsam", "lookbehind", "bsam"):  # they give the update, as they should
        with pytest.warns(UserWarning, match=f"in front of {name}") as caught:
            own_loop(optax.chain(optax.clip(0.1), LINKS[name][0]()))
        assert "update itself" not in str(caught[0].message)


def test_a_changed_gradient_without_a_chain_is_told():
    half = lambda w, grad_fn: jax.tree.map(lambda g: g / 2, grad_fn(w))
    with pytest.warns(UserWarning, match="stands in front of sam"):
        own_loop(jaxopt_lab.sam(), grads=half)


@pytest.mark.parametrize("loop", LOOPS)
def test_links_that_stand_first_are_silent(loop):
    sound = [
        optax.chain(jaxopt_lab.sam(), optax.clip(0.1), MOMENTUM),
        optax.chain(optax.identity(), jaxopt_lab.sam(), MOMENTUM),
        optax.apply_if_finite(optax.chain(jaxopt_lab.sam(), MOMENTUM), 2),
        optax.chain(optax.clip(0.1), jaxopt_lab.momentum_sam(MOMENTUM)),
        optax.chain(jaxopt_lab.sam(), jaxopt_lab.lookahead(MOMENTUM)),
        optax.MultiSteps(jaxopt_lab.momentum_sam(MOMENTUM), 2),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tx in sound:
            LOOPS[loop](tx)


def test_a_gradient_averaged_by_the_caller_is_no_transform_in_front():
    def step(w, x):
        grad_fn = jaxopt_lab.batch_grad(loss, x)
        link = jaxopt_lab.sam(axis_name="data")
        grads = jax.lax.pmean(grad_fn(w), "data")
        return link.update(grads, link.init(w), w, grad_fn=grad_fn)

    parts = jnp.stack([X, 2 * X])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(jax.vmap(step, axis_name="data", in_axes=(None, 0)), W, parts)


def test_a_gradient_of_other_code_is_no_transform_in_front():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own_loop(jaxopt_lab.sam(), grads=lambda w, _: jax.grad(loss)(w, X))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", ["sam", "looksam", "wsam", "lookbehind", "bsam"])
def test_multi_steps_around_a_link_is_refused_in_every_loop(name, loop):
    tx = optax.MultiSteps(optax.chain(LINKS[name][0](), optax.identity()), 2)
    words = f"MultiSteps around {name} is silently wrong.*micro_batches=k"
    with pytest.raises(InputError, match=words):
        LOOPS[loop](tx)


BEHIND = {
    "momentum_sam": lambda: jaxopt_lab.momentum_sam(MOMENTUM),
    "stale_sam": lambda: jaxopt_lab.stale_sam(MOMENTUM),
    "lookahead": lambda: jaxopt_lab.lookahead(MOMENTUM),
    "bsam": lambda: jaxopt_lab.bsam(0.1, num_data=4),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", BEHIND)
def test_a_transform_behind_perturbed_parameters_is_refused(name, loop):
    make = BEHIND[name]
    words = f"a transform stands behind {name}: .*unchanged"
    groups = {"one": make(), "rest": optax.sgd(0.1)}
    parted = jaxopt_lab.partition(groups, {"w": "one", "b": "rest"})
    for tx in (
        optax.chain(make(), optax.scale(0.5)),
        optax.chain(optax.chain(make()), optax.add_decayed_weights(0.1)),
        optax.chain(parted, optax.scale(0.5)),
    ):
        with pytest.raises(InputError, match=words):
            LOOPS[loop](tx)
    LOOPS[loop](optax.chain(optax.clip(0.1), make(), optax.identity()))


@pytest.mark.parametrize("name", BEHIND)
def test_a_wrapper_around_perturbed_parameters_is_refused(name):
    inner = BEHIND[name]()
    for wrap in (
        jaxopt_lab.lookahead,
        jaxopt_lab.stale_sam,
        jaxopt_lab.lookbehind,
        lambda tx: jaxopt_lab.wsam(tx, learning_rate=0.1),
    ):
        with pytest.raises(InputError, match="cannot own an optimizer that trains"):
            jax.eval_shape(wrap(inner).init, W)


def test_a_training_inside_of_the_loss_has_places_of_its_own():
    inner = optax.chain(jaxopt_lab.sam(), jaxopt_lab.lookahead(MOMENTUM))

    def outer_loss(p, x):
        grad_fn = jaxopt_lab.batch_grad(loss, x)
        updates, _ = inner.update(grad_fn(p), inner.init(p), p, grad_fn=grad_fn)
        return loss(optax.apply_updates(p, updates), x)

    tx = optax.chain(jaxopt_lab.sam(), optax.clip(1.0), MOMENTUM)
    step = make_train_step(lambda p, s, x, k: (outer_loss(p, x), (s, {})), tx)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(step, init_state(tx, W, jax.random.key(0)), X)


@pytest.mark.parametrize("loop", LOOPS)
def test_optaxs_masks_around_a_link_are_refused(loop):
    groups = {"sharp": jaxopt_lab.sam(), "rest": optax.sgd(0.1)}
    for tx in (
        optax.masked(jaxopt_lab.sam(), {"w": True, "b": False}),
        optax.partition(groups, {"w": "sharp", "b": "rest"}),
    ):
        words = "around sam hides parameters.*use jaxopt_lab.masked or jaxopt_lab.part"
        with pytest.raises(InputError, match=words):
            LOOPS[loop](tx)


def test_no_chain_is_no_place():
    assert not placement.in_front()
    placement.refuse_behind("mine", "this", "Elsewhere")
    placement.refuse_accumulation("mine")


def test_a_link_around_a_gradient_function_works_inside_of_our_mask():
    sam = jaxopt_lab.sam(0.1)

    def update(updates, state, params=None, *, grad_fn, **extra):
        return sam.update(updates, state, params, grad_fn=lambda p: grad_fn(p))

    wrapping = optax.GradientTransformationExtraArgs(sam.init, update)
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(0.5)}
    grad_fn = jaxopt_lab.batch_grad(
        lambda p, x: jnp.sum(x * p["a"] ** 2) * p["b"], jnp.ones(2)
    )
    found, expected = (
        tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)[0]
        for tx in (
            jaxopt_lab.masked(link, {"a": True, "b": False}) for link in (wrapping, sam)
        )
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
