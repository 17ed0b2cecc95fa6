"""More of the program of values: beside, inside and around other transformations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from battery.transform import problems
from battery.transform.loops import STEPS, Tree, repeat, run, step, train_loss
from jaxopt_lab.training import init_state, make_train_step

LOSS = train_loss(problems.product)
CLIP, DECAY = 0.5, 0.1
# sign of the gradient, norm that it is clipped to, decay
CHAINS = {"clip and decay": (1.0, CLIP, DECAY), "reversed": (-1.0, 1e9, 0.0)}


def _behind(subject: Any, decay: Any) -> list[Any]:
    # Nothing may stand behind updates that contain a perturbation.
    return [] if subject.row.eval_params else [optax.add_decayed_weights(decay)]


def chained(subject: Any) -> Any:
    """Two steps with something before and after, for every case of ``CHAINS``."""

    def one(case: Any, params: Tree, batch: Tree) -> Any:
        sign, norm, decay = case
        before = optax.scale(sign), optax.clip_by_global_norm(norm)
        after = _behind(subject, decay)
        return run(optax.chain(*before, *subject.parts(), *after), params, batch, 2)[0]

    def fn(cases: Any, params: Tree, batch: Tree) -> Any:
        return jax.lax.map(lambda case: one(case, params, batch), cases)

    cases = np.array(list(CHAINS.values()))
    return fn, (cases, problems.params(), problems.batch())


def by_hand(subject: Any) -> Any:
    """The first of them, the parts called one after another."""
    clip, decay = optax.clip_by_global_norm(CLIP), _behind(subject, DECAY)

    def fn(params: Tree, batch: Tree) -> Any:
        parts = [clip, *subject.parts(), *decay]
        states = [part.init(params) for part in parts]

        def body(carry: Tree, _: Any) -> Any:
            params, states = carry
            grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
            updates, after = grad_fn(params), []
            for part, state in zip(parts, states, strict=True):
                part = optax.with_extra_args_support(part)
                updates, state = part.update(
                    updates, state, params, grad_fn=grad_fn, value=jnp.ones(())
                )
                after.append(state)
            return (optax.apply_updates(params, updates), after), None

        return repeat(body, (params, states), jnp.arange(2))[0][0]

    return fn, (problems.params(), problems.batch())


def _grouped(params: Any, batch: Any) -> jax.Array:
    inner = problems.product(params["in"], batch)
    return inner + 0.1 * inner**2 * jnp.sum(params["out"] ** 2)


def _in_a_group() -> Tree:
    return {"in": problems.params(), "out": np.array([0.5, -0.4])}


def alone(subject: Any) -> Any:
    """Updates of two steps on a part of a tree, and gradients of all of it."""

    def fn(params: Tree, batch: Tree) -> Any:
        inside = lambda part, batch: _grouped({**params, "in": part}, batch)
        state = subject.tx.init(params["in"])
        updates = _updates(subject.tx, params["in"], state, batch, inside)
        return updates, jax.grad(_grouped)(params, batch)["out"]

    return fn, (_in_a_group(), problems.batch())


def _updates(tx: Any, params: Tree, state: Tree, batch: Tree, loss: Any) -> Tree:
    """Updates of two steps, stacked; the parameters stay."""

    def body(state: Tree, _: Any) -> Any:
        return step(tx, params, state, batch, loss)[1:]

    return repeat(body, state, jnp.arange(2))[1]


def masked(subject: Any) -> Any:
    """The updates where a mask leaves the other part as it is."""
    tx = jaxopt_lab.masked(subject.tx, {"in": True, "out": False})
    fn = lambda p, b: _updates(tx, p, tx.init(p), b, _grouped)
    return fn, (_in_a_group(), problems.batch())


def partition(subject: Any) -> Any:
    """The updates where the other part stands still."""
    groups = {"moving": subject.tx, "still": optax.set_to_zero()}
    tx = jaxopt_lab.partition(groups, {"in": "moving", "out": "still"})
    fn = lambda p, b: _updates(tx, p, tx.init(p), b, _grouped)
    return fn, (_in_a_group(), problems.batch())


def multi_steps(subject: Any) -> Any:
    """Parameters after each of two halves of the batch inside ``MultiSteps``."""
    tx = optax.MultiSteps(subject.tx, 2, accumulator_dtype=jnp.float64)

    def fn(params: Tree, halves: Tree) -> Any:
        train = make_train_step(LOSS, tx)

        def body(state: Tree, half: Tree) -> Any:
            state, _ = train(state, half)
            return state, state.params

        return repeat(body, init_state(tx, params, jax.random.key(0)), halves)[1]

    return fn, (problems.params(), _halves())


def _halves() -> Tree:
    return jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), problems.batch())


def with_hyperparams(state: Any, values: dict[str, Any]) -> Any:
    """A state with other hyper-parameters in it."""
    has = lambda node: hasattr(node, "hyperparams")

    def one(node: Any) -> Any:
        if not has(node):
            return node
        new = {
            k: jnp.asarray(values.get(k, v), v.dtype)
            for k, v in node.hyperparams.items()
        }
        return node._replace(hyperparams=new)

    return jax.tree.map(one, state, is_leaf=has)


def inject(subject: Any) -> Any:
    """Paths with hyper-parameters in the state: the default ones, and others."""

    def fn(others: dict[str, Any], params: Tree, batch: Tree) -> Any:
        tx = subject.injected()

        def one(state: Tree) -> Any:
            def body(carry: Tree, _: Any) -> Any:
                params, state, _ = step(tx, *carry, batch)
                return (params, state), params

            return repeat(body, (params, state), jnp.arange(STEPS))[1]

        states = tx.init(params), with_hyperparams(tx.init(params), others)
        return jax.lax.map(one, jax.tree.map(lambda *x: jnp.stack(x), *states))

    values = {k: np.asarray(subject.others()[k]) for k in subject.row.numeric}
    return fn, (values, problems.params(), problems.batch())


def others(subject: Any) -> Any:
    """One step with other numbers given to the factory."""
    values = {k: subject.others()[k] for k in subject.row.numeric}
    tx = subject.transform(**values)
    fn = lambda params, batch: run(tx, params, batch, 1)[0]
    return fn, (problems.params(), problems.batch())


def apply_if_finite(subject: Any) -> Any:
    """The end of a good, a bad and a good step inside ``apply_if_finite``."""
    tx = optax.apply_if_finite(subject.tx, 5)
    batch = problems.batch()
    x = batch["x"].copy()
    x[0, 0] = np.nan
    batches = [batch, {**batch, "x": x}, batch]

    def fn(params: Tree, batches: Tree) -> Any:
        body = lambda carry, batch: (step(tx, *carry, batch)[:2], None)
        return repeat(body, (params, tx.init(params)), batches)[0]

    return fn, (problems.params(), jax.tree.map(lambda *x: np.stack(x), *batches))


def parallel(subject: Any) -> Any:
    """Two data-parallel train steps on two devices."""
    # Two devices of one shard are two shards.
    one_shard = {"num_shards": 1} if "num_shards" in subject.row.details else {}
    tx = subject.transform(**one_shard) if one_shard else subject.tx

    def fn(params: Tree, parts: Tree) -> Any:
        state = init_state(tx, params, jax.random.key(0))
        train = jax.vmap(make_train_step(LOSS, tx, axis_name="data"), axis_name="data")
        many = jax.tree.map(lambda x: jnp.stack([x, x]), state)
        body = lambda many, _: (train(many, parts)[0], None)
        many = repeat(body, many, jnp.arange(2))[0]
        return many.params, many.opt_state

    return fn, (problems.params(), _halves())


def two_shards(subject: Any) -> Any:
    """On one device what ``parallel`` does on two, for a method with shards."""
    tx = subject.transform(num_shards=2)
    fn = lambda params, batch: run(tx, params, batch, 2)
    return fn, (problems.params(), problems.batch())


def with_none(subject: Any) -> Any:
    """Two steps on a tree with ``None`` in it."""
    params = problems.floats(problems.WITH_NONE, np.float64)
    fn = lambda p, b: run(subject.tx, p, b, 2, problems.waves)[0]
    return fn, (params, np.ones(4))


def without_none(subject: Any) -> Any:
    """The same on the tree without."""
    params = problems.floats(problems.WITH_NONE, np.float64)
    dense = {"w": params["w"], "deep": [params["deep"][1]]}
    fn = lambda p, b: run(subject.tx, p, b, 2, problems.waves)[0]
    return fn, (dense, np.ones(4))


def of(row: Any) -> dict[str, Any]:
    """All that apply to a row, by name."""
    found = {
        "chained": chained,
        "by hand": by_hand,
        "alone": alone,
        "masked": masked,
        "partition": partition,
        "inject": inject,
        "others": others,
        "apply_if_finite": apply_if_finite,
        "parallel": parallel,
        "with none": with_none,
        "without none": without_none,
    }
    if row.gradients == 1:
        found["multi_steps"] = multi_steps
    if "num_shards" in row.details:
        found["two shards"] = two_shards
    return found
