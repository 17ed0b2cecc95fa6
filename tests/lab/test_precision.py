"""``precision=bf16``: bfloat16 products, float32 everything that is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import cases

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.jaxprs import equations
from jaxopt_lab.core.trees import is_floating
from jaxopt_lab.lab import optimizers, precision, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.models import MODELS, Wanted
from jaxopt_lab.lab.models.layers import functional
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.losses.classification import classification_loss
from jaxopt_lab.training import from_nnx, init_state, make_train_step
from jaxopt_lab.training.mixed_precision import mixed_precision

TINY = ["task=digits", "model=mlp", "model.width=8", "model.depth=1", "batch_size=8"]


def computed(build):
    return mixed_precision(functional(build, None, "bfloat16"))


def products(program):
    kinds = ("dot_general", "conv_general_dilated")
    return [e for e in equations(program.jaxpr) if e.primitive.name in kinds]


def narrow(equation):
    return {v.aval.dtype.name for v in equation.invars} == {"bfloat16"}


def attends(equation):
    numbers = equation.params["dimension_numbers"]
    return equation.primitive.name == "dot_general" and any(numbers[1])


def floats(tree):
    return {x.dtype.name for x in jax.tree.leaves(tree) if is_floating(x)}


def step_of(*words):
    program = runs.assemble(parse([*TINY, *words]))
    batch = program.batches.next()
    traced = jax.make_jaxpr(program.step)(program.state, batch)
    out = jax.eval_shape(program.step, program.state, batch)
    return program, traced, out


@pytest.mark.full(plain=["sam"])
@pytest.mark.parametrize("method", catalog.of_kind("transform"))
def test_every_method_keeps_a_float32_state(method):
    configuration = parse([*TINY, f"method={method}", "precision=bf16"])
    build = configuration.rows.model.build(configuration.model, (8, 8, 1), 10)
    model = from_nnx(build)
    tx = optimizers.build(configuration)
    loss_fn = classification_loss(computed(build))

    def init(key):
        params, model_state = model.init(key)
        return init_state(tx, params, key, model_state)

    state = jax.eval_shape(init, jax.random.key(0))
    batch = {"image": np.zeros((8, 8, 8, 1), np.uint8), "label": np.zeros(8, np.int32)}
    step = make_train_step(loss_fn, tx)
    traced, out = jax.make_jaxpr(step, return_shape=True)(state, batch)
    after, metrics = out
    types = [jax.tree.map(lambda x: x.dtype.name, s) for s in (state, after)]
    assert types[0] == types[1]
    assert floats(state.params) == floats(metrics) == {"float32"}
    # Products of the model, one forward and two backward in each layer and pass; those
    # of an optimizer's own (bases, low ranks) are of the state's type.
    assert sum(map(narrow, products(traced))) >= 3


@pytest.mark.full
@pytest.mark.parametrize(
    "words",
    [
        ["seeds=2"],
        ["mesh=data:2"],
        ["mesh=data:2", "style=shard_map"],
        ["mesh=seeds:2,data:2", "seeds=2"],
    ],
    ids=" ".join,
)
def test_on_a_mesh_and_with_seeds(words):
    _, traced, (state, metrics) = step_of("precision=bf16", *words)
    assert products(traced) and all(map(narrow, products(traced)))
    assert floats(state) == floats(metrics) == {"float32"}
    # Gradients are sent in float32, in all that is written out.
    sent = [e for e in equations(traced.jaxpr) if e.primitive.name.startswith("psum")]
    assert {v.aval.dtype.name for e in sent for v in e.invars} <= {"float32"}


@pytest.mark.parametrize("name", cases.plain(MODELS, {"convnet", "transformer"}))
def test_all_products_of_every_model_are_narrow(name):
    row = MODELS[name]
    shape, classes = ((16, 16, 3), 4) if row.kind == "image" else ((8,), 4)
    build = row.build(row.config(), shape, classes, {})
    model = computed(build)
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    inputs = np.zeros((2, *shape), np.float32 if row.kind == "image" else np.int32)

    def loss(params, state):
        logits, new = model.apply(
            params, state, inputs, train=True, key=jax.random.key(0)
        )
        return jnp.mean(logits), new

    grad = jax.value_and_grad(loss, has_aux=True)
    found = products(jax.make_jaxpr(grad)(params, state))
    # The softmax of attention, and what it is multiplied with, are float32 in jax.
    found = [e for e in found if not attends(e)]
    if name == "poincare_resnet":  # points of the ball are computed in float32
        assert not any(map(narrow, found))
    else:
        assert found and all(map(narrow, found))
    assert floats(jax.eval_shape(grad, params, state)) == {"float32"}


@pytest.mark.full
def test_it_trains_as_float32_does(tmp_path):
    words = ["method=sgd", "steps=6", "log_every=6", "eval_every=0", "save_every=0"]
    losses = []
    for kind in ("float32", "bf16"):
        configuration = parse([*TINY, *words, f"precision={kind}"])
        fitted = runs.train(configuration, tmp_path / kind)
        losses.append(fitted.summary["final_loss"])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.02)


@pytest.mark.full
def test_curvature_is_measured_in_float32():
    narrow_run = runs.assemble(parse([*TINY, "precision=bf16"]))
    plain = runs.assemble(parse(TINY))
    batch = plain.fixed(8)[0]
    state = plain.state
    found, wanted = (
        p.metric_fn(state.params, state.model_state, batch) for p in (narrow_run, plain)
    )
    np.testing.assert_array_equal(found["loss"], wanted["loss"])


def test_two_types_are_refused():
    with pytest.raises(InputError, match="accepted: one of the two"):
        parse(["precision=bf16", "model.dtype=bfloat16"])


def test_quantized_products_reach_the_train_step_and_the_test():
    program, traced, (state, _) = step_of("quantize=w2a8")
    plain = runs.assemble(parse(TINY))
    shapes = [jax.eval_shape(lambda p=p: p).params for p in (state, plain.state)]
    assert shapes[0] == shapes[1]
    rounded = {
        e.outvars[0].aval.shape
        for e in equations(traced.jaxpr)
        if e.primitive.name == "round"
    }
    # Activations and weights of two layers, (outputs, inputs).
    assert rounded == {(8, 64), (8, 8), (10, 8)}
    params, images = program.state.params, program.batches.next()["image"]
    x = jnp.asarray(images, jnp.float32) / 255
    outputs = [
        jax.jit(lambda p, x, f=f: f.apply(p, {}, x, train=False)[0])(params, x)
        for f in (program.functional, plain.functional)
    ]
    apart = np.abs(outputs[0] - outputs[1]).max()
    assert apart > 0.1 * np.abs(outputs[1]).max()
    with pytest.raises(InputError, match="quantize='w1a8' names no bits; accepted: w8"):
        parse(["quantize=w1a8"])


@pytest.mark.parametrize("name", ["convnet", "lstm"])
def test_kernels_of_convolutions_are_rounded_and_those_of_loops_refused(name):
    model = MODELS[name]
    text = model.kind == "text"
    shape = (4,) if text else (8, 8, 1)
    wanted = Wanted(shape, 10, None, None, None, text, None)
    functional = model.functional(model.config(), wanted)
    params, state = jax.eval_shape(functional.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((2, *shape), jnp.int32 if text else jnp.float32)

    def traced(keep=""):
        run = RunOptions(quantize="w8a8", quantize_keep=keep)
        apply = precision.quantized(run, functional.apply)
        return jax.eval_shape(
            lambda p, s, x: apply(p, s, x, train=False)[0], params, state, x
        )

    if text:
        words = "no product of layers/0/state/kernel.*; quantize_keep= leaves kernels"
        with pytest.raises(InputError, match=words) as told:
            traced()
        assert "\n" not in str(told.value)
        assert traced("/state/").shape == (2, 4, 10)
    else:
        assert traced().shape == (2, 10)
    with pytest.raises(InputError, match="^quantize_keep=heads finds no kernel to le"):
        traced("heads")


def test_layers_that_stay_are_not_rounded():
    _, traced, _ = step_of("quantize=w2", "quantize_keep=head")
    rounded = {
        e.outvars[0].aval.shape
        for e in equations(traced.jaxpr)
        if e.primitive.name == "round"
    }
    assert rounded == {(8, 64)}
    for words, said in (
        (["quantize_keep=head"], "would do nothing without quantize="),
        (["quantize=w8", "quantize_keep=("], "accepted: a regular expression"),
    ):
        with pytest.raises(InputError, match=said):
            parse(words)
