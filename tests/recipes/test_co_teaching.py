"""Co-teaching against sorted losses in NumPy, and two trainings without it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_co_teaching, make_co_teaching_step, of_both
from jaxopt_lab.recipes.co_teaching import small_loss_selection
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
PAIR = RNG.normal(size=(2, 4, 3))
BATCH = {"image": RNG.normal(size=(10, 4)), "label": RNG.integers(0, 3, 10)}
KEY, TX = jax.random.key(0), optax.sgd(0.5, momentum=0.9)


def apply(params, state, x, *, train, key=None):
    return x @ params, state


MODEL = Functional(lambda key: (jax.random.normal(key, (4, 3)), {}), apply)


def losses(w, rows):
    z = BATCH["image"][rows] @ w
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -log_p[np.arange(len(rows)), BATCH["label"][rows]], np.exp(log_p)


def reference(forget, split):
    """Parameters after one step, the loss, and the rows that each keeps."""
    half = (np.arange(5), np.arange(5, 10)) if split else (np.arange(10),) * 2
    kept = []
    for w, rows in zip(PAIR, half, strict=True):
        order = np.argsort(losses(w, rows)[0], kind="stable")
        kept.append(rows[order[: int((1 - forget) * len(rows) + 1e-9)]])
    new, values = [], []
    for w, rows in zip(PAIR, kept[::-1], strict=True):
        loss, p = losses(w, rows)
        slope = BATCH["image"][rows].T @ (p - np.eye(3)[BATCH["label"][rows]])
        new.append(w - 0.5 * slope / len(rows))
        values.append(loss.mean())
    return new, np.mean(values), kept


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("forget", [0.3, 0.0])
def test_each_is_trained_on_what_the_other_keeps(split, forget):
    step = make_co_teaching_step(MODEL, TX, forget=forget, split=split)
    run = jax.jit(lambda a, b: step(init_co_teaching(TX, a, b, KEY), BATCH))
    state, metrics = run(*PAIR)
    wanted, loss, kept = reference(forget, split)
    for role, w in zip(("first", "second"), wanted, strict=True):
        np.testing.assert_allclose(state.params[role], w, rtol=1e-11)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-12)
    assert int(state.step) == 1
    if not split and forget:
        assert float(metrics["kept"]) == len(set(kept[0]) & set(kept[1])) / 10


def test_nothing_forgotten_is_two_trainings_and_parts_are_the_whole():
    def loss_fn(params, model_state, batch, key):
        log_p = jax.nn.log_softmax(batch["image"] @ params)
        return -jnp.mean(log_p[jnp.arange(10), batch["label"]]), (model_state, {})

    @jax.jit
    def run(pair):
        state = init_co_teaching(TX, *pair, KEY)
        both = make_co_teaching_step(MODEL, TX, forget=0.0)(state, BATCH)[0]
        plain = make_train_step(loss_fn, TX)
        alone = [plain(init_state(TX, w, KEY), BATCH)[0].params for w in pair]
        options = {"forget": 0.3, "gradual": 4}
        whole = make_co_teaching_step(MODEL, TX, **options)
        parts = make_co_teaching_step(MODEL, TX, **options, micro_batches=2)
        later = state._replace(step=jnp.asarray(9, jnp.int32))
        first = [whole(s, BATCH)[0].params["first"] for s in (state, later)]
        return both.params, alone, first, parts(later, BATCH)[0].params["first"]

    both, alone, first, parts = run(PAIR)
    for role, w in zip(("first", "second"), alone, strict=True):
        np.testing.assert_allclose(both[role], w, rtol=1e-12)
    # R begins at 0 and ends at its value.
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-12)
    np.testing.assert_allclose(first[1], reference(0.3, False)[0][0], rtol=1e-11)
    np.testing.assert_allclose(parts, first[1], rtol=1e-12)


def test_selection_is_the_sorted_one_with_ties_by_place():
    ties = np.round(RNG.uniform(size=40), 1)
    select = jax.jit(small_loss_selection)
    for keep in (1, 17, 40):
        found = np.flatnonzero(select(ties, keep))
        wanted = np.sort(np.argsort(ties, kind="stable")[:keep])
        np.testing.assert_array_equal(found, wanted)
    ties[3] = np.nan
    assert not select(ties, 39)[3]


def test_the_two_predict_the_mean_of_their_logits():
    model = of_both(MODEL)
    params, state = model.init(jax.random.split(KEY))
    found, _ = model.apply(params, state, BATCH["image"], train=False)
    wanted = BATCH["image"] @ (params["first"] + params["second"]) / 2
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def call(count=10, **options):
    def run():
        step = make_co_teaching_step(MODEL, TX, **options)
        batch = {name: x[:count] for name, x in BATCH.items()}
        jax.eval_shape(lambda a, b: step(init_co_teaching(TX, a, b, KEY), batch), *PAIR)

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_co_teaching_step(MODEL, TX, forget=1.0), "forget must lie in"),
        (call(9, split=True), "batch of 9 examples cannot be split in halves"),
        (call(2, split=True, forget=0.5), "forget=0.5 keeps none of 1 examples"),
        (
            lambda: make_co_teaching_step(MODEL, TX)(init_state(TX, PAIR, KEY), BATCH),
            "must have 'first' and 'second', as init_co_teaching makes it",
        ),
        (
            lambda: make_co_teaching_step(MODEL, TX)(
                init_co_teaching(TX, *PAIR, KEY), {"image": BATCH["image"]}
            ),
            "the batch has no 'label'",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
