"""Activations, norm placements and residual scales of the lab's models."""

import jax
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.models import activations, configs, resnet
from jaxopt_lab.lab.models.layers import MakeNorm, dtypes
from jaxopt_lab.layers import lecun_normal_untruncated

HE = jax.nn.initializers.he_normal()
KEY = jax.random.key(0)
IMAGES = np.linspace(-1, 1, 2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
TOKENS = np.arange(12).reshape(2, 6) % 5
TEXT = {"width": 8, "heads": 2, "depth": 2, "context": 6}


def functional(name, **options):
    model = models.get(name)
    shape = (6,) if model.kind == "text" else (8, 8, 1)
    return model.functional(model.config(**options), models.Wanted(shape, 5))


def text(name, **options):
    """The program of a model's evaluation."""
    model = functional(name, **options)
    params, state = jax.eval_shape(model.init, KEY)
    x = TOKENS if models.get(name).kind == "text" else IMAGES
    run = lambda p, s, x: model.apply(p, s, x, train=False)[0]
    return str(jax.make_jaxpr(run)(params, state, x))


@pytest.mark.full
def test_mixes_of_none_and_all_are_pre_and_post():
    of = lambda kind, part=0.25: text(
        "transformer", **TEXT, norm_placement=kind, post_fraction=part
    )
    pre, post = text("transformer", **TEXT), of("post")
    assert of("mix", 0.0) == pre and of("mix", 1.0) == post
    assert of("mix", 0.5) not in (pre, post)


@pytest.mark.full
def test_a_transformer_of_skipinit_is_its_embedding_and_head():
    model = functional("transformer", **TEXT, residual_scale="skipinit")
    params, _ = jax.jit(model.init)(KEY)
    scalars = params["blocks"]["0"]["totals"]["0"]
    assert set(scalars) == {"multiplier"} and scalars["multiplier"] == 0
    # Without a division by the depth the output weights are as wide as the others.
    block = params["blocks"]["1"]
    wide, narrow = (np.std(block[n]["kernel"]) for n in ("mlp_out", "mlp_in"))
    assert abs(wide / narrow - 1) < 0.25
    got = jax.jit(lambda p, x: model.apply(p, {}, x, train=False)[0])(params, TOKENS)
    table, places = (params[n]["embedding"] for n in ("tokens", "positions"))
    x = np.asarray(table)[TOKENS] + np.asarray(places)[:6]
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    wanted = x @ np.asarray(params["head"]["kernel"])
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.full(plain=["transformer-options2"])
@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet18", {"width": 4}),
        ("wide_resnet", {"depth": 10, "widen": 1}),
        ("transformer", TEXT),
    ],
)
def test_constants_multiply_and_learned_scalars_are_parameters(name, options):
    shapes = lambda kind: jax.eval_shape(
        functional(name, **options, residual_scale=kind).init, KEY
    )[0]
    count = lambda kind: sum(leaf.shape == () for leaf in jax.tree.leaves(shapes(kind)))
    modules = {"resnet18": 8, "wide_resnet": 3, "transformer": 4}[name]
    assert count("1") == count("1/n") == 0
    assert count("skipinit") == modules and count("fixup") == 3 * modules
    factor = f"{float(np.float32(1 / modules))}:f32"
    assert text(name, **options, residual_scale="1/n").count(factor) >= modules
    assert factor not in text(name, **options)


@pytest.mark.full
def test_fixup_starts_its_modules_at_zero():
    def first_and_last(kind):
        config = configs.ResNet18Config(
            width=4, norm="group", groups=2, residual_scale=kind
        )
        rngs = nnx.Rngs(0)
        make = MakeNorm(config, None, dtypes(config.dtype), rngs)
        block = resnet.Block(config, 4, 4, 1, activations.RELU, 1, 16, make, rngs)
        return [np.asarray(c.kernel.get_value()) for c in block.convs]

    (plain, _), (scaled, zeros) = first_and_last("1"), first_and_last("fixup")
    assert not np.any(zeros)
    np.testing.assert_allclose(scaled, plain / 4, rtol=1e-6)


def test_activations_stand_where_they_are_named():
    plain = text("mlp", width=4)
    assert "tanh" not in plain and "tanh" in text("mlp", width=4, activation="tanh")
    assert plain == text("mlp", width=4, activation="relu")
    assert "expm1" in text("mlp", width=4, activation="selu")
    # GELU falls below 0: the largest of four values need not have the largest output.
    order = text("convnet", channels=(2,), dense=3, activation="gelu")
    assert order.index("tanh") < order.index("reduce_max")
    order = text("convnet", channels=(2,), dense=3)
    assert order.index("reduce_max") < order.index("relu")


def test_selu_gets_the_weights_that_it_assumes():
    mlp = models.get("mlp")
    for name, init in (("selu", lecun_normal_untruncated), ("relu", HE)):
        chosen = activations.activation(mlp, name, {})
        wanted, got = (f(KEY, (16, 8)) for f in (init, chosen.kernel_init))
        np.testing.assert_array_equal(got, wanted)


def test_every_layer_is_accepted_or_refused_with_a_reason():
    for model in (m for m in models.MODELS.values() if m.activations):
        for name in catalog.of_kind("layer"):
            words = [f"task={'text' if model.kind == 'text' else 'digits'}"]
            words += [f"model={model.name}", f"model.activation={name}"]
            if name in activations.accepted(model):
                assert parse(words).rows.parts["activation"].name == name
            else:
                with pytest.raises(InputError, match="the layer "):
                    parse(words)


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("mlp", {"activation": "swish"}, "unknown activation 'swish'"),
        ("mlp", {"activation": "ghost_batch_norm"}, "the layer replaces norm, no act"),
        ("resnet18", {"residual_scale": "1/m"}, "unknown resnet: residual_scale '1/m'"),
        ("wide_resnet", {"residual_scale": "2"}, "residual_scale '2'"),
        ("transformer", {"residual_scale": "2"}, "residual_scale '2'"),
        ("transformer", {"norm_placement": "both"}, "norm_placement 'both'"),
        ("transformer", {"post_fraction": 1.5}, "post_fraction must lie in"),
        (
            "transformer",
            {"memory": "mesa", "activation": "relu"},
            "keeps codes of activation=gelu; got activation=relu",
        ),
    ],
)
def test_options_out_of_range(name, options, words):
    with pytest.raises(InputError, match=words):
        functional(name, **options)
