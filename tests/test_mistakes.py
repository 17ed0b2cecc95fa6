# ruff: noqa: E501
"""Likely mistakes, each with the line that answers it.

A row is a call and what its message must name: the argument or the thing that is
wrong, what was got, and what to do instead. ``grade`` gives 0 to silence and to the
errors of others, 1 to one of ours without a remedy, 2 to one that has all three.
"""

from __future__ import annotations

import re
import warnings

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import catalog, curvature, losses, training
from jaxopt_lab.core.errors import InputError

P = {"w": jnp.ones((4, 3)), "b": jnp.zeros(3)}
X = jnp.ones((4, 4))
KEY = jax.random.key(0)
ADDRESS = "jaxopt_lab.batch_grad(loss_fn, batch)"


def loss(p, x):
    return jnp.mean((x @ p["w"] + p["b"][None]) ** 2)


def with_aux(p, x):
    return loss(p, x), {"n": len(x)}


def train_loss(p, model_state, batch, key):
    return loss(p, batch), (model_state, {})


GRADS = jax.jit(jax.grad(loss))(P, X)
GRAD_FN = jaxopt_lab.batch_grad(loss, X)
SGD = optax.sgd(0.1)
EXTRA = {"grad_fn": GRAD_FN}


def step(tx, grads=GRADS, params=P, state=None, **extra):
    """Shapes of an update: mistakes are told while it is traced."""
    tx = optax.with_extra_args_support(tx)
    state = tx.init(P if params is None else params) if state is None else state
    return jax.eval_shape(lambda g: tx.update(g, state, params, **extra), grads)


def trained(tx, loss_fn=train_loss, **options):
    make = training.make_train_step(loss_fn, tx, **options)
    return jax.eval_shape(make, training.init_state(tx, P, KEY), X)


def fit_mask(make):
    """A weight-decay mask of another tree."""
    return step(make(mask={"weights": True}), **EXTRA)


def nothing(p):
    return jax.tree.map(lambda _: False, p)


def flax_state():
    from flax.training.train_state import TrainState

    tx = optax.chain(jaxopt_lab.sam(), SGD)
    state = TrainState.create(apply_fn=None, params=P, tx=tx)
    return state.apply_gradients(grads=GRADS, grad_fn=GRAD_FN)


lab = jaxopt_lab
# fmt: off
ROWS = {
    # Numbers and names.
    "rho below zero": (lambda: lab.sam(-1.0), "rho must be at least 0; got -1.0"),
    "rho as text": (lambda: lab.sam("0.1"), "rho must be a number.*schedule.*got '0.1'"),
    "rho missing": (lambda: lab.sam(None), "rho must be a number.*got None"),
    "rho a flag": (lambda: lab.sam(True), "rho must be a number.*got True"),
    "rho a list": (lambda: lab.sam([0.1]), "rho must be a number.*got a list of 1"),
    "rho not a number": (lambda: lab.asam(float("nan")), "rho must be at least 0; got nan"),
    "norm_over misspelt": (lambda: lab.sam(norm_over="al"), "unknown norm_over 'al'.*'all'"),
    "sync misspelt": (lambda: lab.sam(sync="locally"), "unknown sync.*'local'"),
    "p below one": (lambda: lab.samson(p=0.5), "p must be a number of at least 1.*got 0.5"),
    "no ascent": (lambda: lab.multistep_sam(num_ascent=0), "num_ascent must be a whole number of at least 1; got 0"),
    "half an ascent": (lambda: lab.multistep_sam(num_ascent=2.5), "num_ascent must be a whole number.*got 2.5"),
    "no shards": (lambda: lab.msam(num_shards=0), "num_shards must be a whole number.*got 0"),
    "every zero steps": (lambda: lab.looksam(every=0), "every must be a whole number.*got 0"),
    "alpha misspelt": (lambda: lab.lookbehind(SGD, alpha="adaptiv"), "unknown alpha 'adaptiv'.*'adaptive'"),
    "capacity below zero": (lambda: lab.adam_cm(0.1, capacity=-1), "capacity must be a whole number.*got -1"),
    "priority misspelt": (lambda: lab.adam_cm(0.1, priority="norm"), "unknown priority 'norm'.*accepted"),
    "aggregate misspelt": (lambda: lab.adam_cg(0.1, aggregate="summ"), "unknown aggregate 'summ'.*'sum'"),
    "decay of one": (lambda: lab.adam_cm(0.1, b1=1.0), r"b1 must lie in \[0, 1\); got 1.0"),
    "block of zero": (lambda: lab.adamw8bit(0.1, block=0), "block must be a number of elements of at least 1, 'row' or 'tensor'; got 0"),
    "rate as text": (lambda: lab.adamw4bit("1e-3"), "learning_rate must be a number.*got '1e-3'"),
    "rate missing": (lambda: lab.adamw_cm(None), "learning_rate must be a number.*got None"),
    "rate of apollo as text": (lambda: lab.apollo("1e-3"), "learning_rate must be a number.*got '1e-3'"),
    "rate of soap a list": (lambda: lab.soap([0.1]), "learning_rate must be a number.*got a list of 1"),
    "rate of microadam a flag": (lambda: lab.microadam(True), "learning_rate must be a number.*got True"),
    "rate of adam_mini a dict": (lambda: lab.adam_mini({"lr": 0.1}), "learning_rate must be a number.*got a dict"),
    "window of zero": (lambda: lab.microadam(0.1, window=0), "window must be a whole number.*got 0"),
    "rank of zero": (lambda: lab.ldadam(0.1, rank=0), "rank must be a whole number.*got 0"),
    "method misspelt": (lambda: catalog.get("smm"), "unknown part 'smm'; perhaps you meant .*'sam'"),
    "option misspelt": (lambda: catalog.get("sam").make(roh=0.1), "unknown option of sam 'roh'; perhaps you meant 'rho'"),
    # A factory, a number or a class in the place of an optimizer.
    "lookbehind of a factory": (lambda: lab.lookbehind(optax.sgd), r"inner must be an optax transformation.*function sgd: call it, sgd\(...\)"),
    "lookahead of a factory": (lambda: lab.lookahead(optax.sgd), "inner must be.*function sgd: call it"),
    "momentum_sam of a factory": (lambda: lab.momentum_sam(optax.adam), "inner must be.*function adam: call it"),
    "stale_sam of a number": (lambda: lab.stale_sam(0.05), "inner must be an optax transformation.*got 0.05"),
    "wsam of a list": (lambda: lab.wsam([SGD], learning_rate=0.1), "inner must be an optax transformation.*got a list of 1"),
    "differentiable of a factory": (lambda: lab.differentiable(optax.adam), "must be an optax transformation.*function adam: call it"),
    "quantize_state of a factory": (lambda: lab.quantize_state(optax.adam), "must be an optax transformation.*function adam: call it"),
    "masked of a factory": (lambda: lab.masked(optax.adam, True), "inner must be an optax transformation.*function adam: call it"),
    "partition of a factory": (lambda: lab.partition({"a": optax.adam}, {"w": "a", "b": "a"}), "transforms.*must be an optax transformation.*function adam: call it"),
    "train step of a factory": (lambda: training.make_train_step(train_loss, optax.sgd), "tx must be an optax transformation.*function sgd: call it"),
    "train state of a factory": (lambda: training.init_state(optax.sgd, P, KEY), "tx must be an optax transformation.*function sgd: call it"),
    "train step swapped": (lambda: training.make_train_step(SGD, train_loss), "tx must be an optax transformation.*function train_loss"),
    "inject_hyperparams of a transformation": (lambda: lab.inject_hyperparams(lab.sam()), "factory must be a function.*got a GradientTransformation"),
    # grad_fn.
    "no grad_fn": (lambda: step(lab.sam()), re.escape("sam needs grad_fn: call tx.update(")),
    "no params": (lambda: step(lab.sam(), params=None, **EXTRA), re.escape("sam needs params: call tx.update(")),
    "gradient for grad_fn": (lambda: step(lab.sam(), grad_fn=GRADS), "grad_fn must be a function.*got a gradient"),
    "loss for grad_fn": (lambda: step(lab.sam(), grad_fn=lambda p: loss(p, X)), "grad_fn.*gradient.*got"),
    "value_and_grad for grad_fn": (lambda: step(lab.sam(), grad_fn=lambda p: jax.value_and_grad(loss)(p, X)), "grad_fn must give the gradients.*value_and_grad"),
    "gradient with aux": (lambda: step(lab.sam(), grad_fn=lambda p: jax.grad(with_aux, has_aux=True)(p, X)), "grad_fn must give the gradients.*has_aux=True"),
    "plain grad_fn for shards": (lambda: step(lab.msam(), grad_fn=lambda p: jax.grad(loss)(p, X)), f"msam needs the gradients of parts.*{re.escape(ADDRESS)}"),
    "no losses of examples": (lambda: step(lab.esam(gamma=0.5), **EXTRA), "loss of each: pass.*example_losses="),
    "shards that do not divide": (lambda: step(lab.msam(num_shards=3), **EXTRA), "batch of 4 examples cannot be cut into 3 equal shards"),
    "optax.masked around a link": (lambda: step(optax.masked(lab.sam(), {"w": True, "b": False}), **EXTRA), "jaxopt_lab.masked"),
    "optax.partition around a link": (lambda: step(optax.partition({"a": lab.sam(), "b": optax.identity()}, {"w": "a", "b": "b"}), **EXTRA), "jaxopt_lab.partition"),
    "optax.inject_hyperparams of a count": (lambda: step(optax.inject_hyperparams(lab.multistep_sam)(num_ascent=2), **EXTRA), "num_ascent must be.*jaxopt_lab.inject_hyperparams"),
    "optax.inject_hyperparams of a capacity": (lambda: step(optax.inject_hyperparams(lab.adam_cm)(0.1, capacity=2)), "capacity must be.*jaxopt_lab.inject_hyperparams"),
    "behind another": (lambda: step(optax.chain(SGD, lab.sam()), **EXTRA), "in front of sam.*Put sam first"),
    "flax's apply_gradients": (flax_state, "sam needs grad_fn.*call"),
    # Losses and batches.
    "loss with aux": (lambda: lab.batch_grad(with_aux, X)(P), "loss_fn must return a scalar; got a tuple of 2: pass has_aux=True"),
    "loss without aux": (lambda: lab.batch_grad(loss, X, has_aux=True)(P), r"has_aux=True loss_fn must return \(loss, aux\); got"),
    "losses of examples": (lambda: lab.batch_grad(lambda p, x: x @ p["w"], X)(P), r"loss must be a real scalar.*shape \(4, 3\)"),
    "loss of integers": (lambda: lab.batch_grad(lambda p, x: jnp.sum(x > 0), X)(P), "loss must be a real scalar.*int"),
    "batch in odd parts": (lambda: lab.batch_grad(loss, X, micro_batches=3), "batch of 4 examples cannot be cut into 3 equal micro-batches"),
    "no micro-batches": (lambda: lab.batch_grad(loss, X, micro_batches=0), "micro-batches must be at least 1; got 0"),
    "batch of uneven leaves": (lambda: lab.batch_grad(loss, {"x": X, "y": jnp.ones(3)}, micro_batches=2), "leading axis"),
    "loop misspelt": (lambda: lab.batch_grad(loss, X, micro_batches=2, micro_loop="scam")(P), "unknown.*'scam'.*'scan'"),
    "not a function": (lambda: lab.batch_grad(GRADS, X), "loss_fn must be a function.*got a dict of 2"),
    "train loss without state": (lambda: trained(SGD, lambda p, m, b, k: loss(p, b)), r"loss_fn must return \(loss, \(model_state, metrics\)\)"),
    "old key": (lambda: training.init_state(SGD, P, jax.random.PRNGKey(0)), r"typed key from jax.random.key\(seed\)"),
    # States and trees of others.
    "state of another": (lambda: step(lab.adam_cm(0.1), state=SGD.init(P)), "the state is not that of scale_by_critical_momenta; got .*EmptyState.*tx.init"),
    "state of adam for codes": (lambda: step(lab.adamw8bit(0.1), state=optax.adam(0.1).init(P)), "state.*init"),
    "state of adam for microadam": (lambda: step(lab.microadam(0.1), state=optax.adam(0.1).init(P)), "state.*init"),
    "gradient without a leaf": (lambda: step(lab.adam_cm(0.1), grads={"w": P["w"]}), "updates must be a tree like the parameters.*b: missing"),
    "gradient of another shape": (lambda: step(lab.adamw8bit(0.1), grads={"w": P["b"], "b": P["b"]}), "updates|parameter"),
    "parameters without a leaf": (lambda: step(lab.microadam(0.1), state=lab.microadam(0.1).init(P), grads={"w": P["w"]}, params={"w": P["w"]}), "the state of microadam must be that of these parameters"),
    "evaluation swapped": (lambda: lab.eval_params(lab.lookahead(SGD).init(P), P), r"eval_params\(params, state\) got the state.*swapped"),
    # Masks and rules.
    "mask of nothing": (lambda: step(lab.sam(perturb_mask=nothing), **EXTRA), "perturb_mask selects none of the parameters.*pass None"),
    "mask without a leaf": (lambda: step(lab.sam(perturb_mask={"w": True}), **EXTRA), "perturb_mask.*b"),
    "mask as text": (lambda: step(lab.sam(perturb_mask="w"), **EXTRA), "perturb_mask.*got 'w'"),
    "decay mask of adamw8bit": (lambda: fit_mask(lambda **k: lab.adamw8bit(0.1, **k)), "^mask.*weights"),
    "decay mask of adamw_cm": (lambda: fit_mask(lambda **k: lab.adamw_cm(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of adam_cg": (lambda: fit_mask(lambda **k: lab.adam_cg(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of microadam": (lambda: fit_mask(lambda **k: lab.microadam(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of ldadam": (lambda: fit_mask(lambda **k: lab.ldadam(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of apollo": (lambda: fit_mask(lambda **k: lab.apollo(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of adam_mini": (lambda: fit_mask(lambda **k: lab.adam_mini(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "decay mask of soap": (lambda: fit_mask(lambda **k: lab.soap(0.1, weight_decay=0.1, **k)), "^mask.*weights"),
    "partition rule for nothing": (lambda: step(lab.adam_mini(0.1, partition=[("heads$", "row")])), "partition.*'heads\\$'"),
    "label rule for nothing": (lambda: lab.trees.label_by_path([("bias$", "frozen")], "rest")(P), "'bias\\$'"),
    "bfloat16 without a name": (lambda: step(lab.sam(), jnp.ones(2, "bfloat16"), jnp.ones(2, "bfloat16"), grad_fn=lambda p: p), "sam cannot perturb parameters in bfloat16.*cast"),
    # Derivatives through training, curvature, the rest.
    "mode misspelt": (lambda: lab.hypergrad(None, None, 0.1, mode="revers"), "unknown mode 'revers'.*'reverse'"),
    "inner is no problem": (lambda: lab.hypergrad(None, loss, 0.1), "inner must be.*InnerProblem.*function loss"),
    "steps below zero": (lambda: lab.unroll(lambda s, t: s, 0.0, -1), "got -1"),
    "maml of a factory": (lambda: lab.maml(loss, inner=optax.sgd), "inner must be an optax transformation.*function sgd: call it"),
    "no adaptation": (lambda: lab.maml(loss, inner=SGD, steps=0), "steps must be a whole number of at least 1; got 0"),
    "no batches": (lambda: curvature.hessian(loss, P, []), "batches"),
    "matrix for an operator": (lambda: curvature.top_eigenvalues(jnp.eye(3), KEY), "operator must be of type Operator; got an array"),
    "matrix for a trace": (lambda: curvature.hutchinson_trace(jnp.eye(3), KEY), "operator must be of type Operator; got an array"),
    "seed for a key": (lambda: curvature.top_eigenvalues(curvature.hessian(loss, P, [X]), 0), r"key must be a typed key from jax.random.key\(seed\); got 0"),
    "quantity misspelt": (lambda: curvature.probe(loss, P, [X], KEY, what=("tops",)), "unknown quantity 'tops'.*'top'"),
    "operator without a model": (lambda: curvature.probe(loss, P, [X], KEY, operator="ggn"), "operator='ggn' needs model_fn and output_loss_fn"),
    "labels of another length": (lambda: losses.cross_entropy(X, jnp.zeros(3, int)), r"labels of shape \(3,\).*need"),
    "labels that are no integers": (lambda: losses.cross_entropy(X, jnp.zeros(4)), "labels.*integer.*got"),
}
# fmt: on
NO_REMEDY: set[str] = set()
WORDS = re.compile(
    r"must|accepted|perhaps you meant|: call |pass |use |need|swapped|Put |tx.init|a key"
)


def grade(call, line):
    """0: silence or the error of another; 1: ours; 2: with cause and remedy."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            call()
    except (InputError, UserWarning) as error:
        text = str(error)
    except Exception as error:
        return 0, f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        return 0, "silence"
    if "\n" in text or not re.search(line, text):
        return 1, text
    return (2 if WORDS.search(text) else 1), text


@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_is_answered_by_its_line(name):
    call, line = ROWS[name]
    found, text = grade(call, line)
    assert found >= (1 if name in NO_REMEDY else 2), text


def test_the_table_is_long_and_its_grades_are_high():
    assert len(ROWS) >= 70
    assert set(ROWS) >= NO_REMEDY
    assert 2 - len(NO_REMEDY) / len(ROWS) >= 1.8
