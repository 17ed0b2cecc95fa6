"""Every model of the table, at its smallest."""

import dataclasses
import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models import MODELS, configs
from jaxopt_lab.lab.models.convnet import halve
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training.adapters import Functional, from_nnx


class OneBlock(configs.ResNetConfig):
    """One block a stage, and two stages: as much as one compilation should cost."""

    blocks = (1, 1)


class SmallResNet18(OneBlock, configs.ResNet18Config):
    pass


class SmallResNet20(OneBlock, configs.ResNet20Config):
    pass


class SmallResNet50(OneBlock, configs.ResNet50Config):
    pass


TINY = {
    "mlp": configs.MLPConfig(width=6),
    "convnet": configs.ConvNetConfig(channels=(3, 4), dense=5),
    "resnet18": SmallResNet18(width=2, norm="group", groups=1),
    "resnet20": SmallResNet20(width=2),
    "resnet50": SmallResNet50(width=2, norm="group", groups=1),
    "wide_resnet": configs.WideResNetConfig(depth=10, widen=1, dropout=0.3),
    "poincare_resnet": configs.PoincareResNetConfig(
        channels=(3,), depth=4, start="normal"
    ),
    "transformer": configs.TransformerConfig(
        width=8, depth=1, heads=2, context=7, dropout=0.2
    ),
    "masked_transformer": configs.MaskedTransformerConfig(
        width=8, depth=1, heads=2, context=7
    ),
    "lstm": configs.LSTMConfig(width=6, depth=2, dropout=0.2),
}
NAMES = {"poincare_resnet": {"kernel", "offset", "mean", "var", "inverse_c"}}
TEXT = ("transformer", "masked_transformer", "lstm")
CLASSES = 5
KEY = jax.random.key(0)


@cache
def functional(name: str, dtype: str = "float32") -> Functional:
    shape = (6,) if name in TEXT else (8, 8, 3)
    config = dataclasses.replace(TINY[name], dtype=dtype)
    return from_nnx(MODELS[name].build(config, shape, CLASSES))


@cache
def initial(name: str):
    # A compiled program gives arrays even where the first call is traced: what is kept
    # must not be tracers.
    return jax.jit(functional(name).init).lower(KEY).compile()(KEY)


def test_what_is_kept_is_no_tracer():
    initial.cache_clear()
    shapes = jax.eval_shape(lambda: initial("mlp")[0])
    assert jax.tree.map(jnp.shape, initial("mlp")[0]) == jax.tree.map(
        lambda x: x.shape, shapes
    )
    assert not any(isinstance(x, Tracer) for x in jax.tree.leaves(initial("mlp")))


def batch_for(name: str, size: int = 4):
    rng = np.random.default_rng(0)
    if name in TEXT:
        text = rng.integers(0, CLASSES, (size, 7)).astype(np.int32)
        return {
            "inputs": jnp.asarray(text[:, :-1]),
            "targets": jnp.asarray(text[:, 1:]),
        }
    return {
        "image": jnp.asarray(rng.normal(size=(size, 8, 8, 3)), jnp.float32),
        "label": jnp.asarray(rng.integers(0, CLASSES, size), jnp.int32),
    }


def inputs_for(name: str, size: int = 4):
    return batch_for(name, size)["inputs" if name in TEXT else "image"]


def loss_for(name: str, dtype: str = "float32"):
    make = losses.next_token_loss if name in TEXT else losses.classification_loss
    return make(functional(name, dtype))


@cache
def forward(name: str):
    """The model in evaluation: one compilation for several tests."""
    run = lambda p, s, x: functional(name).apply(p, s, x, train=False)[0]
    return jax.jit(run)


@cache
def training_step(name: str):
    """Gradients, loss, state and metrics: one compilation for several tests."""
    step = jax.jit(jax.value_and_grad(loss_for(name), has_aux=True))
    return step(*initial(name), batch_for(name), KEY)


def test_table_is_complete():
    assert set(MODELS) == set(TINY)
    for name, row in MODELS.items():
        assert row.name == name
        assert row.kind == ("text" if name in TEXT else "image")
        assert isinstance(TINY[name], row.config)
        assert row.description and "\n" not in row.description
        assert dataclasses.is_dataclass(row.config())


def test_every_field_has_a_help_text():
    from tyro._docstrings import get_field_docstring

    for row in MODELS.values():
        for field in dataclasses.fields(row.config):
            text = get_field_docstring(row.config, field.name, ())
            assert text, f"{row.config.__name__}.{field.name}"


def test_listing_the_models_is_cheap():
    code = (
        "import sys; from jaxopt_lab.lab.models import MODELS; "
        "[row.config() for row in MODELS.values()]; "
        "sys.exit('flax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_model_gets_the_nearest_name():
    with pytest.raises(InputError, match="perhaps you meant 'resnet"):
        models.get("resnet19")
    assert models.get("mlp") is MODELS["mlp"]


@pytest.mark.full(plain=["mlp"])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_named_float32_arrays_in_dicts(name):
    params, _ = initial(name)

    def walk(node):
        assert type(node) is dict
        for key, child in node.items():
            assert type(key) is str
            if isinstance(child, dict):
                walk(child)
            else:
                assert key in NAMES.get(name, {"kernel", "bias", "scale", "embedding"})
                assert child.dtype == jnp.float32

    walk(params)


@pytest.mark.full(plain=["convnet", "lstm", "mlp"])
@pytest.mark.parametrize("name", MODELS)
def test_output_shape_for_two_batch_sizes(name):
    for count in (1, 3):
        logits, _ = jax.eval_shape(
            lambda p, s, x: functional(name).apply(p, s, x, train=False),
            *initial(name),
            inputs_for(name, count),
        )
        middle = (6,) if name in TEXT else ()
        assert logits.shape == (count, *middle, CLASSES + MODELS[name].masked)
        assert logits.dtype == jnp.float32


@pytest.mark.full(plain=["mlp"])
@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_leaf(name):
    (loss, _), grads = training_step(name)
    assert jnp.isfinite(loss)
    assert trees.differences(initial(name)[0], grads) == []
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert jnp.all(jnp.isfinite(leaf)), path
        assert jnp.any(leaf != 0), path


@pytest.mark.full(plain=["convnet"])
@pytest.mark.parametrize("name", MODELS)
def test_state_moves_with_batch_statistics_alone(name):
    _, state = initial(name)
    (_, (after, _)), _ = training_step(name)
    assert trees.differences(state, after) == []
    norm = getattr(TINY[name], "norm", "batch" if name == "poincare_resnet" else "")
    assert bool(state) == (norm == "batch")
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert not jnp.array_equal(old, new)


@pytest.mark.full(plain=["lstm"])
@pytest.mark.parametrize("name", ["wide_resnet", "transformer", "lstm"])
def test_dropout_follows_the_key(name):
    model = functional(name)
    run = jax.jit(
        lambda k: model.apply(*initial(name), inputs_for(name), train=True, key=k)[0]
    )
    one, again, two = (run(jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, two)
    with pytest.raises(InputError, match="pass key="):
        jax.eval_shape(
            lambda: model.apply(*initial(name), inputs_for(name), train=True)
        )


@pytest.mark.full(plain=["lstm"])
@pytest.mark.parametrize("name", [n for n in TEXT if MODELS[n].causal])
def test_no_output_sees_later_tokens(name):
    run = lambda x: forward(name)(*initial(name), x)
    tokens = inputs_for(name)
    before = run(tokens)
    for t in (0, 3, 5):
        after = run(tokens.at[:, t].set((tokens[:, t] + 1) % CLASSES))
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert not np.allclose(after[:, t:], before[:, t:])


@pytest.mark.full
@pytest.mark.parametrize("name", ["mlp", "convnet", "transformer", "lstm"])
def test_two_models_under_vmap_are_a_loop(name):
    x, one = inputs_for(name), initial(name)
    two = jax.tree.map(lambda leaf: leaf * 0.7 + 0.01, one)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two)
    together = jax.jit(jax.vmap(forward(name), in_axes=(0, 0, None)))(*both, x)
    assert not np.allclose(together[0], together[1])
    for i, single in enumerate((one, two)):
        alone = forward(name)(*single, x)
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.full(
    plain=["float64-mlp", "float64-lstm", "bfloat16-convnet", "bfloat16-lstm"]
)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_types(name, dtype):
    params, state = jax.eval_shape(functional(name, dtype).init, KEY)
    wide = jnp.float64 if dtype == "float64" else jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {
        jnp.dtype(wide)
    }
    # bfloat16 activations meet float32 statistics inside flax's own layers.
    with jax.numpy_dtype_promotion("standard"):
        loss, (after, _) = jax.eval_shape(
            loss_for(name, dtype), params, state, batch_for(name), KEY
        )
    assert loss.dtype == wide
    assert trees.differences(state, after) == []


def test_stem_follows_the_image_size():
    def out_of_stem(pixels):
        model = from_nnx(
            MODELS["resnet18"].build(TINY["resnet18"], (pixels, pixels, 3), 3)
        )
        params, state = jax.eval_shape(model.init, KEY)
        x = jax.ShapeDtypeStruct((2, pixels, pixels, 3), jnp.float32)
        run = lambda p, s, x: model.apply(p, s, x, train=False)[0]
        assert jax.eval_shape(run, params, state, x).shape == (2, 3)
        return params["stem"]["kernel"].shape[0]

    assert out_of_stem(32) == 3
    assert out_of_stem(64) == 7


@pytest.mark.full
def test_lstm_is_the_equations():
    """One layer in float64 against a loop in NumPy."""
    config = configs.LSTMConfig(width=3, dtype="float64")
    model = from_nnx(MODELS["lstm"].build(config, (6,), CLASSES))
    params, state = jax.jit(model.init)(KEY)
    tokens = inputs_for("lstm")
    got, _ = model.apply(params, state, tokens, train=False)
    p = jax.tree.map(np.asarray, params)
    layer, sigmoid = p["layers"]["0"], lambda x: 1 / (1 + np.exp(-x))
    cell = hidden = np.zeros((4, 3))
    for t in range(6):
        x = p["tokens"]["embedding"][np.asarray(tokens)[:, t]]
        gates = x @ layer["inputs"]["kernel"] + layer["inputs"]["bias"]
        gates = gates + hidden @ layer["state"]["kernel"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        expected = hidden @ p["head"]["kernel"] + p["head"]["bias"]
        np.testing.assert_allclose(got[:, t], expected, rtol=1e-10)


def test_halving_is_a_max_pool_that_drops_the_odd_rest():
    from flax import nnx

    x = jax.random.normal(KEY, (2, 5, 7, 3), jnp.float32)
    np.testing.assert_array_equal(halve(x), nnx.max_pool(x, (2, 2), (2, 2)))


BAD = [
    ("mlp", {"width": 0}, (8, 8, 1), "width must be at least 1; got 0"),
    ("mlp", {"depth": -1}, (8, 8, 1), "depth must be at least 0; got -1"),
    ("mlp", {}, (), r"inputs of shape \(size, ...\); got \(\)"),
    ("mlp", {"dtype": "f32"}, (8, 8, 1), "float64; got 'f32'"),
    ("convnet", {"channels": ()}, (8, 8, 1), "channels must be at least 1"),
    ("convnet", {}, (3, 8, 1), "at least 4 pixels a side; got 3x8"),
    (
        "resnet18",
        {"norm": "layer"},
        (8, 8, 1),
        "unknown norm 'layer'.*batch, .*group",
    ),
    ("resnet20", {"norm": "group", "groups": 3}, (8, 8, 1), "groups=3 must divide.*16"),
    ("poincare_resnet", {"depth": 21}, (8, 8, 1), r"6n \+ 2 for 3 stages; got 21"),
    ("poincare_resnet", {"curvature": 0.0}, (8, 8, 1), "above 0; got 0.0"),
    ("wide_resnet", {"depth": 17}, (8, 8, 1), r"6n \+ 4.*got 17"),
    ("wide_resnet", {"dropout": 1.0}, (8, 8, 1), r"\[0, 1\); got 1.0"),
    ("transformer", {"width": 10}, (6,), "width=10 is not a multiple of heads=4"),
    ("transformer", {"context": 5}, (6,), "6 tokens are more than context=5"),
    ("transformer", {"heads": 0}, (6,), "heads must be at least 1; got 0"),
    ("transformer", {"memory": "none"}, (6,), "unknown memory 'none'"),
    ("transformer", {"memory_ratio": 0.0}, (6,), r"must lie in \(0, 1\]; got 0.0"),
    ("lstm", {"depth": 0}, (6,), "depth must be at least 1; got 0"),
    ("lstm", {}, (8, 8, 1), r"shape \(length,\); got \(8, 8, 1\)"),
]


@pytest.mark.parametrize(("name", "options", "shape", "message"), BAD)
def test_bad_options_get_one_line(name, options, shape, message):
    with pytest.raises(InputError, match=message) as error:
        from_nnx(MODELS[name].build(MODELS[name].config(**options), shape, 10))
    assert "\n" not in str(error.value)


def test_wrong_configuration_and_too_few_classes():
    with pytest.raises(InputError, match="takes a MLPConfig; got LSTMConfig"):
        MODELS["mlp"].build(configs.LSTMConfig(), (8, 8, 1), 10)
    with pytest.raises(InputError, match="at least 2 classes; got 1"):
        MODELS["mlp"].build(configs.MLPConfig(), (8, 8, 1), 1)


@pytest.mark.full
@pytest.mark.parametrize("name", MODELS)
def test_wrong_inputs_are_refused_when_traced(name):
    wrong = {
        "transformer": jnp.zeros((2, 8), jnp.int32),
        "masked_transformer": jnp.zeros((2, 8), jnp.int32),
        "lstm": jnp.zeros((2, 6), jnp.float32),
    }.get(name, jnp.zeros((2, 8, 8, 2), jnp.float32))
    message = {
        "transformer": "8 tokens are more than context=7",
        "masked_transformer": "8 tokens are more than context=7",
        "lstm": r"integer tokens of shape \(B, T\); got float32 of shape \(2, 6\)",
    }.get(name, r"was built for images .*3\); got \(2, 8, 8, 2\)")
    with pytest.raises(InputError, match=message):
        jax.eval_shape(
            lambda x: functional(name).apply(*initial(name), x, train=False), wrong
        )


@pytest.mark.full(plain=["checkpoint"])
@pytest.mark.parametrize("memory", ["mesa", "wta_crs", "checkpoint"])
def test_a_block_that_keeps_less_is_the_same_function(memory):
    """With the same parameters; its gradient is near, or the same."""
    tokens = batch_for("transformer", 8)["inputs"]
    weight = np.random.default_rng(1).normal(size=(8, 6, CLASSES))

    def run(**options):
        config = dataclasses.replace(TINY["transformer"], dropout=0.0, **options)
        model = from_nnx(MODELS["transformer"].build(config, (6,), CLASSES))
        _, state = jax.eval_shape(model.init, KEY)
        state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), state)

        def loss(params):
            y, _ = model.apply(params, state, tokens, train=True, key=KEY)
            return jnp.sum(y * weight.astype(y.dtype))

        return jax.jit(jax.value_and_grad(loss))(params)

    params, _ = jax.jit(functional("transformer").init)(KEY)
    value, slopes = run(memory=memory, memory_ratio=0.5)
    expected, wanted = run()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    a, b = (
        np.concatenate([g.ravel() for g in jax.tree.leaves(t)])
        for t in (slopes, wanted)
    )
    gap = np.linalg.norm(a - b) / np.linalg.norm(b)
    assert gap < {"mesa": 0.02, "wta_crs": 0.5, "checkpoint": 1e-5}[memory]
