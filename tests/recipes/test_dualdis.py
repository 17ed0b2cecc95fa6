"""DualDis against its two objectives written over the labelled examples alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses import cross_entropy
from jaxopt_lab.recipes import (
    DualOutputs,
    edit_attribute,
    init_dualdis,
    make_dualdis_step,
    orthogonality,
)
from jaxopt_lab.recipes.dual_losses import attribute_loss, mean_entropy, with_shares
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
SIZES = {"y": (4, 5), "z": (4, 3), "wy": (5, 3), "wz": (3, 2), "back": (8, 4)}
PARAMS = {name: RNG.normal(size=size) for name, size in SIZES.items()}
RIVALS = {"class": RNG.normal(size=(3, 3)), "attribute": RNG.normal(size=(5, 2))}
X, LABELS = RNG.normal(size=(6, 4)), np.array([0, -1, 2, -1, -1, 1])
MARKS = np.array([[0, 1], [1, -1], [-1, -1], [1, 1], [0, -1], [-1, 0]])
BATCH = {"image": X, "label": LABELS, "attributes": MARKS}
KEY, TX, RIVAL_TX = jax.random.key(0), optax.sgd(0.1), optax.sgd(0.3, momentum=0.9)


def branches(params, x):
    return jnp.tanh(x @ params["y"]), jnp.tanh(x @ params["z"])


def apply(params, state, x, *, train, key=None):
    h, z = branches(params, x)
    rebuilt = jnp.concatenate([h, z], axis=-1) @ params["back"]
    heads = [params["wz"].T, params["wy"].T]
    return DualOutputs(h, z, h @ params["wy"], z @ params["wz"], rebuilt, heads), state


def guess(params, state, features, *, train, key=None):
    h, z = features
    state = {"calls": state["calls"] + 1} if train and "calls" in state else state
    return (z @ params["class"], h @ params["attribute"]), state


NETWORK, GUESS = (Functional(lambda key: (PARAMS, {}), f) for f in (apply, guess))
WEIGHTS = {"reconstruction": 0.4, "attributes": 0.7, "class_adversary": 0.3}
WEIGHTS |= {"attribute_adversary": 0.2, "orthogonality": 0.05}


def ce(logits):
    rows = np.flatnonzero(LABELS >= 0)
    return -jnp.mean(jax.nn.log_softmax(logits)[rows, LABELS[rows]])


def bce(logits, opposite=False):
    rows, columns = np.nonzero(MARKS >= 0)
    known = MARKS[rows, columns] ^ opposite
    signs = jnp.asarray(2.0 * known - 1)
    return -jnp.mean(jax.nn.log_sigmoid(signs * logits[rows, columns]))


def crossed(rows):
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    i, j = np.nonzero(~np.eye(len(rows), dtype=bool))
    return jnp.sum(jnp.sum(rows[i] * rows[j], axis=1) ** 2)


def objective(params, rivals, entropy=False):
    h, z = branches(params, X)
    classes, marks = z @ rivals["class"], h @ rivals["attribute"]
    p = jax.nn.softmax(classes)
    push = jnp.mean(jnp.sum(p * jnp.log(p), -1)) if entropy else -ce(classes)
    gap = jnp.concatenate([h, z], axis=-1) @ params["back"] - X
    total = ce(h @ params["wy"]) + 0.7 * bce(z @ params["wz"]) + 0.4 * jnp.mean(gap**2)
    total = total + 0.3 * push + 0.2 * bce(marks, opposite=True)
    return total + 0.05 * (crossed(params["wz"].T) + crossed(params["wy"].T))


def rival_objective(rivals, params):
    h, z = branches(params, X)
    return ce(z @ rivals["class"]) + bce(h @ rivals["attribute"])


def start(params, rivals):
    state = {"adversary_state": {"calls": jnp.zeros(())}, "adversary_tx": RIVAL_TX}
    return init_dualdis(TX, params, rivals, KEY, **state)


@pytest.mark.full(plain=["whole"])
@pytest.mark.parametrize(
    "more",
    [{}, {"micro_batches": 3}, {"push": "entropy"}],
    ids=["whole", "micro", "entropy"],
)
def test_the_network_and_the_adversaries_go_down_their_objectives_in_turn(more):
    @jax.jit
    def both(params, rivals):
        step = make_dualdis_step(
            NETWORK, GUESS, TX, adversary_tx=RIVAL_TX, **WEIGHTS, **more
        )
        main = lambda params: objective(params, rivals, "push" in more)
        value, slope = jax.value_and_grad(main)(params)
        network = jax.tree.map(lambda p, g: p - 0.1 * g, params, slope)
        second = jax.value_and_grad(rival_objective)(rivals, network)
        others = jax.tree.map(lambda p, g: p - 0.3 * g, rivals, second[1])
        wanted = {"network": network, "adversaries": others}
        return step(start(params, rivals), BATCH), wanted, (value, second[0])

    (state, metrics), wanted, values = both(PARAMS, RIVALS)
    for role, trees in wanted.items():
        for name, w in trees.items():
            np.testing.assert_allclose(state.params[role][name], w, rtol=1e-10)
    np.testing.assert_allclose(metrics["loss"], values[0], rtol=1e-12)
    np.testing.assert_allclose(metrics["adversary_loss"], values[1], rtol=1e-12)
    assert int(state.step) == 1
    assert float(state.model_state["adversaries"]["calls"]) == 1


def test_without_its_terms_it_is_the_plain_step_exactly_and_reads_no_attributes():
    def plain(params, state, batch, key):
        logits = branches(params, batch["image"])[0] @ params["wy"]
        return jnp.mean(cross_entropy(logits, batch["label"])), (state, {})

    @jax.jit
    def both(params):
        batch = {"image": X, "label": np.maximum(LABELS, 0)}
        step = make_dualdis_step(NETWORK, GUESS, TX, **dict.fromkeys(WEIGHTS, 0.0))
        wanted = make_train_step(plain, TX)(init_state(TX, params, KEY), batch)
        return step(init_dualdis(TX, params, RIVALS, KEY), batch), wanted

    (state, metrics), (wanted, told) = both(PARAMS)
    for name, w in wanted.params.items():
        np.testing.assert_array_equal(state.params["network"][name], w)
    np.testing.assert_array_equal(metrics["loss"], told["loss"])
    for name, w in RIVALS.items():
        np.testing.assert_array_equal(state.params["adversaries"][name], w)


def test_constant_adversaries_move_no_branch_and_extremes_are_finite():
    @jax.jit
    def run(params):
        weights = {**dict.fromkeys(WEIGHTS, 0.0), "class_adversary": 5.0}
        weights["attribute_adversary"] = 5.0
        still = jax.tree.map(jnp.zeros_like, RIVALS)
        plain = make_dualdis_step(NETWORK, GUESS, TX, **dict.fromkeys(WEIGHTS, 0.0))
        step = make_dualdis_step(NETWORK, GUESS, TX, **weights)
        state = init_dualdis(TX, params, still, KEY)
        batch = with_shares(BATCH, "image", "label", "attributes", {})
        wide = jnp.full((6, 2), 1e300)
        far = jax.value_and_grad(lambda x: attribute_loss(x, batch, "attributes"))
        sure = jax.value_and_grad(mean_entropy)(jnp.array([[1e4, 0.0, -1e4]]))
        found = [s(state, BATCH)[0].params["network"] for s in (plain, step)]
        return found, (far(wide), far(-wide), sure)

    (plain, pushed), extremes = run(PARAMS)
    for name, w in plain.items():
        np.testing.assert_allclose(pushed[name], w, rtol=1e-13)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(extremes))


def test_rows_are_orthogonal_or_not_whatever_their_size():
    w = np.linalg.qr(RNG.normal(size=(5, 3)))[0].T
    turned = 2 * np.pi * np.arange(3) / 3
    three = np.stack([np.cos(turned), np.sin(turned)], axis=1)

    @jax.jit
    def run(w):
        other = jnp.asarray([[-3.0], [1e-200], [1e200]]) * (w + 0.3)
        null = w.at[1].set(0)
        return (
            orthogonality(w),
            (orthogonality(w + 0.3), orthogonality(other)),
            orthogonality(three, kind="signed"),
            jax.value_and_grad(orthogonality)(null + 0.3 * (null != 0)),
        )

    zero, same, signed, (value, slope) = run(w)
    np.testing.assert_allclose(zero, 0, atol=1e-28)
    np.testing.assert_allclose(*same, rtol=1e-12)
    np.testing.assert_allclose(same[0], crossed(jnp.asarray(w + 0.3)), rtol=1e-12)
    np.testing.assert_allclose(signed, 0, atol=1e-28)
    assert value > 0 and np.isfinite(slope).all() and not slope[1].any()
    assert float(orthogonality(jnp.eye(3))) == 0


def test_an_edit_changes_the_logits_by_the_products_of_rows():
    w, h = RNG.normal(size=(3, 4)), RNG.normal(size=(2, 4))
    edited = edit_attribute(jnp.asarray(h), jnp.asarray(w), 1, step=-0.7)
    wanted = np.broadcast_to(-0.7 * w @ w[1] / np.linalg.norm(w[1]), (2, 3))
    np.testing.assert_allclose(edited @ w.T - h @ w.T, wanted, rtol=1e-10)


def call(network=NETWORK, adversaries=GUESS, batch=BATCH, state=None, **options):
    def run():
        step = make_dualdis_step(network, adversaries, TX, **options)
        begin = lambda: init_dualdis(TX, PARAMS, RIVALS, KEY)
        jax.eval_shape(lambda: step(state or begin(), batch))

    return run


def other(change):
    return Functional(
        NETWORK.init, lambda p, s, x, **_: (change(apply(p, s, x, train=True)[0]), s)
    )


W = jnp.ones((3, 4))


@pytest.mark.parametrize(
    "make, words",
    [
        (call(reconstruction=-1.0), "reconstruction must be at least 0"),
        (call(push="up"), "unknown push 'up'; accepted"),
        (call(orthogonality_kind="cubed"), "unknown orthogonality_kind"),
        (call(label="class"), "the batch has no 'class'"),
        (call(attribute_label="marks"), "the batch has no 'marks'"),
        (call(other(lambda out: out[2])), "accepted: DualOutputs"),
        (call(other(lambda o: o._replace(rebuilt=W))), "rebuilt has shape"),
        (
            call(batch={**BATCH, "attributes": MARKS[:, :1]}),
            "that of the attribute log",
        ),
        (
            call(adversaries=Functional(GUESS.init, lambda p, s, x, **_: (x[0], s))),
            r"accepted: \(class logits, attribute logits\)",
        ),
        (call(state=init_state(TX, PARAMS, KEY)), "as init_dualdis makes it"),
        (lambda: orthogonality(W[0]), "w must be a matrix"),
        (lambda: edit_attribute(W, W, 3, step=1.0), "attribute must lie in 0 to 2"),
        (lambda: edit_attribute(W[:, :2], W, 0, step=1.0), r"w has shape \(3, 4\)"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
