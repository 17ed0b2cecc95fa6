"""Beside, inside and around other transformations."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import jaxopt_lab
from battery import comparison, problems
from battery.registry import check
from battery.subject import Subject, path, run, step, train_loss
from jaxopt_lab.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

TIGHT = {"rtol": 1e-11, "atol": 1e-13}


@check()
def extras(subject: Subject) -> None:
    """Extra arguments that it does not know are ignored, and handed on."""
    params, batch = problems.params(), problems.batch()
    grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
    grads = grad_fn(params)
    tx = subject.tx
    plain = tx.update(grads, tx.init(params), params, grad_fn=grad_fn)
    more = tx.update(
        grads, tx.init(params), params, grad_fn=grad_fn, never_heard_of=object()
    )
    comparison.assert_equal(plain, more)
    if subject.row.own:
        kind = optax.GradientTransformationExtraArgs
        assert isinstance(subject.parts()[0], kind), "it takes no extra arguments"
    if subject.row.kind == "wrapper":
        heard = []

        def listen(updates, state, params=None, **extra):
            heard.append(set(extra))
            return updates, state

        base = optax.GradientTransformationExtraArgs(
            lambda params: optax.EmptyState(), listen
        )
        around = subject.row.wrap(optax.chain(subject.base(), base))
        around.update(
            grads, around.init(params), params, grad_fn=grad_fn, never_heard_of=1
        )
        assert heard, "the base is not asked"
        assert all("never_heard_of" in names for names in heard), heard


@check()
def schedules(subject: Subject) -> None:
    """Where the annotation says so, a schedule stands for a number."""
    params, batch = problems.params(), problems.batch()
    for name in subject.annotated():
        value = subject.defaults()[name]
        other = subject.others()[name]
        constant = subject.transform(**{name: lambda count, v=value: v})
        same, _ = run(constant, params, batch, 2)
        comparison.assert_close(same, subject.path[1][0], **TIGHT)
        changing = subject.transform(
            **{name: lambda count, a=value, b=other: jnp.where(count >= 1, b, a)}
        )
        (first, _), (second, _) = path(changing, params, batch, 2)
        comparison.assert_close(first, subject.path[0][0], **TIGHT)
        gap = optax.tree.norm(optax.tree.sub(second, same))
        if gap <= 1e-9:  # some act every few steps only
            late = [run(tx, params, batch, 6)[0] for tx in (changing, constant)]
            gap = optax.tree.norm(optax.tree.sub(*late))
        assert gap > 1e-9, f"a changing schedule of {name} changes nothing"


@check()
def chained(subject: Subject) -> None:
    """After clipping and before weight decay, each does its own part."""
    params, batch = problems.params(), problems.batch()
    clip, decay = optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.1)
    parts = [clip, *subject.parts(), decay]
    tx = optax.chain(*parts)
    state = tx.init(params)
    states = [part.init(params) for part in parts]
    at = params
    for _ in range(2):
        grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
        updates = grad_fn(at)
        for i, part in enumerate(parts):
            part = optax.with_extra_args_support(part)
            updates, states[i] = part.update(
                updates, states[i], at, grad_fn=grad_fn, value=jnp.ones(())
            )
        at = optax.apply_updates(at, updates)
        params, state, _ = step(tx, params, state, batch)
    comparison.assert_close(params, at, **TIGHT)
    bare, _ = subject.path[1]
    assert optax.tree.norm(optax.tree.sub(params, bare)) > 1e-9, "decay has no effect"
    if "shards" in subject.row.needs:
        return  # it takes its first gradients from the shards, by design
    reversed_, _ = run(
        optax.chain(optax.scale(-1.0), *subject.parts()), problems.params(), batch, 2
    )
    gap = optax.tree.norm(optax.tree.sub(reversed_, bare))
    assert gap > 1e-9, "what stands in front of it has no effect"


def _grouped(params: Any, batch: Any) -> jax.Array:
    inner = problems.product(params["in"], batch)
    return inner + 0.1 * inner**2 * jnp.sum(params["out"] ** 2)


@check()
def groups(subject: Subject) -> None:
    """In a group of its own it does what it does on that part of the tree alone."""
    params = {"in": problems.params(), "out": jnp.array([0.5, -0.4])}
    batch = problems.batch()

    def inside(part, batch):
        return _grouped({**params, "in": part}, batch)

    state = subject.tx.init(params["in"])
    expected = []
    for _ in range(2):
        _, state, updates = step(subject.tx, params["in"], state, batch, inside)
        expected.append(updates)
    grads = jax.grad(_grouped)(params, batch)
    mask = {"in": True, "out": False}
    labels = {"in": "moving", "out": "still"}
    frozen = {"moving": subject.tx, "still": optax.set_to_zero()}
    around = {
        "masked": (jaxopt_lab.masked(subject.tx, mask), grads["out"]),
        "partition": (jaxopt_lab.partition(frozen, labels), jnp.zeros(2)),
    }
    for name, (tx, rest) in around.items():
        state = tx.init(params)
        for t in range(2):
            _, state, updates = step(tx, params, state, batch, _grouped)
            comparison.assert_close(
                updates, {"in": expected[t], "out": rest}, **TIGHT, custom_message=name
            )


@check()
def multi_steps(subject: Subject) -> None:
    """Inside ``MultiSteps``: right for one gradient, refused for several."""
    params, batch = problems.params(), problems.batch()
    tx = optax.MultiSteps(subject.tx, 2, accumulator_dtype=jnp.float64)
    train = make_train_step(train_loss(problems.product), tx)
    state = init_state(tx, params, jax.random.key(0))
    if subject.row.gradients > 1:
        with pytest.raises(InputError, match="MultiSteps.*micro_batches"):
            jax.eval_shape(train, state, batch)
        return
    train = jax.jit(train)
    after = state
    for half in (slice(0, 2), slice(2, 4)):
        after, _ = train(after, jax.tree.map(lambda x, h=half: x[h], batch))
        if half.start == 0:
            comparison.assert_equal(after.params, params)
    expected, _ = subject.path[0]
    comparison.assert_close(after.params, expected, **TIGHT)


def _hyperparams(state: Any) -> list[dict[str, Any]]:
    has = lambda node: hasattr(node, "hyperparams")
    return [x.hyperparams for x in jax.tree.leaves(state, is_leaf=has) if has(x)]


def _with_hyperparams(state: Any, values: dict[str, Any]) -> Any:
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


@check()
def inject(subject: Subject) -> None:
    """With hyper-parameters in the state: the same, all there, and they count."""
    params, batch = problems.params(), problems.batch()
    tx = subject.injected()
    state = tx.init(params)
    (found,) = _hyperparams(state)
    assert set(found) >= set(subject.row.numeric), sorted(found)
    after, _ = run(tx, params, batch)
    comparison.assert_close(after, subject.looped[0], **TIGHT)
    others = {k: subject.others()[k] for k in subject.row.numeric}
    changed, _, _ = step(tx, params, _with_hyperparams(state, others), batch)
    expected, _ = run(subject.transform(**others), params, batch, 1)
    comparison.assert_close(changed, expected, **TIGHT)
    single = problems.params(jnp.float32)
    narrow, _, _ = step(tx, single, tx.init(single), problems.batch(jnp.float32))
    chex.assert_trees_all_equal_dtypes(narrow, single)


@check()
def apply_if_finite(subject: Subject) -> None:
    """Inside ``apply_if_finite`` a bad step is as if it had not been."""
    batch = problems.batch()
    bad = {**batch, "x": batch["x"].at[0, 0].set(jnp.nan)}
    tx = optax.apply_if_finite(subject.tx, 5)
    one = jax.jit(lambda params, state, batch: step(tx, params, state, batch)[:2])
    params = problems.params()
    state = tx.init(params)
    for each in (batch, bad, batch):
        params, state = one(params, state, each)
    assert int(state.total_notfinite) == 1
    comparison.assert_close((params, state.inner_state), subject.path[1], **TIGHT)


@check(lambda row: row.kind == "link" and "rho" in row.options)
def neutral(subject: Subject) -> None:
    """A radius of zero gives the base optimizer, exactly."""
    expected, _ = run(optax.sgd(0.1), problems.params(), problems.batch())
    for rho in (0.0, jnp.zeros(())):
        got, _ = run(subject.transform(rho=rho), problems.params(), problems.batch())
        comparison.assert_equal(got, expected)
