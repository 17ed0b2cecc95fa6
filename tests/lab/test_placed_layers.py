"""Layers of the catalog as attention, perceptron and dense layers of a transformer."""

import functools

import jax
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.models import placed

TOKENS, CONTEXT = 5, 6
TEXT = np.random.default_rng(0).integers(0, TOKENS, (2, CONTEXT)).astype(np.int32)
OPTIONS = {
    "hydra_mixer": {"head_dim": 4, "d_state": 3, "chunk": 4},
    "causal_mixer": {"head_dim": 4, "d_state": 3, "chunk": 4},
    "codebook_bottleneck": {"size": 8},
    "kernel_adapter": {"size": 4},
    "ordered_low_rank": {"rank": 3},
}
SOUND = [
    ("transformer", place, name)
    for place in placed.OWN
    for name in placed.accepted(models.MODELS["transformer"], place)[1:]
] + [
    ("masked_transformer", "attention", name)
    for name in placed.accepted(models.MODELS["masked_transformer"], "attention")
]


def functional(model, place, name, **options):
    row = models.MODELS[model]
    sizes = {"width": 8, "heads": 2, "depth": 1, "context": CONTEXT}
    config = row.config(**sizes, **{place: name})
    given = {place: OPTIONS.get(name, {}) | options}
    return row.functional(
        config, models.Wanted((CONTEXT,), TOKENS, layer_options=given)
    )


@functools.cache
def logits(model, place, name):
    """Of a text, and of one with another last token."""
    net = functional(model, place, name)

    def run(key, text):
        params, state = net.init(key)
        return net.apply(params, state, text, train=False)[0]

    late = TEXT.copy()
    late[:, -1] = (late[:, -1] + 1) % TOKENS
    program = jax.jit(run, compiler_options=QUICK)
    key = jax.random.key(0)
    return np.asarray(program(key, TEXT)), np.asarray(program(key, late))


@pytest.mark.full(
    plain=[
        "masked_transformer-attention-norm_aware_attention",
        "transformer-attention-causal_mixer",
    ]
)
@pytest.mark.parametrize("case", SOUND, ids="-".join)
def test_tokens_see_no_later_ones_but_in_a_masked_model(case):
    one, other = logits(*case)
    masked = case[0] == "masked_transformer"
    assert one.shape == (2, CONTEXT, TOKENS + masked)
    assert np.all(np.isfinite(one)) and one.std() > 0
    both_ways = masked and case[2] != "causal_mixer"
    assert (np.abs(one - other)[:, :-1].max() > 0) == both_ways
    assert np.abs(one - other)[:, -1].max() > 0


TRANSFORMER = ["task=text", "model=transformer"]
MASKED = ["task=text", "model=masked_transformer"]


@pytest.mark.parametrize(
    "words, said",
    [
        (
            [*TRANSFORMER, "model.attention=hydra_mixer"],
            "attention=hydra_mixer does not fit model transformer: the layer lets the "
            "positions of an example see later ones; accepted: softmax",
        ),
        (
            [*TRANSFORMER, "model.attention=hydra_mixr"],
            "unknown attention 'hydra_mixr'; perhaps you meant 'causal_mixer'? "
            "(accepted: causal_mixer, softmax)",
        ),
        (
            [*TRANSFORMER, "model.block=kernel_feed_forward"],
            "the layer replaces linear, no block; accepted: mlp, ",
        ),
        (
            [*TRANSFORMER, "model.linear=mesa_dense"],
            "rounds its gradient with keys; the option memory= of transformer sets it",
        ),
        (
            [*TRANSFORMER, "model.block=hypernetwork"],
            "the layer gives other shapes than that of its input",
        ),
        (
            [*TRANSFORMER, "model.block=td_layernorm"],
            "the layer takes other inputs than features by position",
        ),
        (
            [*TRANSFORMER, "model.block=mixture_of_experts", "block.experts=0"],
            "experts=0 is out of range",
        ),
        (
            [*TRANSFORMER, "model.linear=kernel_feed_forward", "linear.layer=1"],
            "unknown option 'linear.layer'",
        ),
        ([*TRANSFORMER, "block.experts=2"], "unknown option 'block.experts'"),
        (["model=mlp", "model.attention=softmax"], "unknown option 'model.attention'"),
    ],
)
def test_refusals_in_one_line(words, said):
    with pytest.raises(InputError) as error:
        parse(words)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make, said",
    [
        (
            lambda: functional(
                "transformer", "block", "transformer_block", causal=False
            ),
            "block.causal=False does not fit model transformer",
        ),
        (
            lambda: functional(
                "masked_transformer", "attention", "hydra_mixer", head_dim=3
            ),
            "head_dim must divide the inner features, 16; got head_dim=3",
        ),
        (
            lambda: models.MODELS["transformer"].build(
                models.configs.TransformerConfig(
                    memory="mesa", linear="ordered_low_rank"
                ),
                (6,),
                5,
            ),
            "memory=mesa is of the model's own layers; got linear=ordered_low_rank",
        ),
        (
            lambda: models.MODELS["transformer"].build(
                models.configs.TransformerConfig(
                    block="mixture_of_experts", linear="ordered_low_rank"
                ),
                (6,),
                5,
            ),
            "linear=ordered_low_rank is of the perceptron, which block=mixture_of",
        ),
    ],
)
def test_layers_that_do_not_go_together(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_options_of_a_place_are_those_of_its_layer():
    found = parse([*MASKED, "model.attention=hydra_mixer", "attention.d_state=8"])
    assert found.parts["attention"]["d_state"] == 8
    assert found.flat()["attention.d_state"] == 8
