"""A transformer whose later positions run fewer layers, trained and decoded so."""

import types
from typing import Any

import jax
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.generation.generator import Generator
from jaxopt_lab.lab.models import MODELS, Wanted
from jaxopt_lab.lab.models.configs import MaskedTransformerConfig, TransformerConfig
from jaxopt_lab.lab.models.skipped import active_of

SIZES: Any = {"width": 8, "heads": 2, "depth": 3, "context": 9}
FEWER: Any = {"max_layers": 3, "min_layers": 2}
TEXT = np.random.default_rng(0).integers(0, 5, (1, 9)).astype(np.int32)


def model(**options):
    config = TransformerConfig(**SIZES, **options)
    return config, MODELS["transformer"].functional(config, Wanted((9,), 5))


def test_lower_middle_layers_run_at_early_positions_alone():
    active = active_of(TransformerConfig(**SIZES, **FEWER))
    assert active is not None
    assert active.of(0).all() and active.of(2).all()
    assert active.of(1).tolist() == [True] * 5 + [False] * 4
    assert active_of(TransformerConfig(**SIZES)) is None


def test_all_layers_are_the_plain_model_and_fewer_are_not():
    plain = model()[1]
    params = jax.eval_shape(plain.init, jax.random.key(0))[0]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: rng.normal(0, 0.5, p.shape).astype(p.dtype), params)
    nets = [plain, *(model(max_layers=n, min_layers=m)[1] for n, m in ((3, 3), (3, 2)))]
    run = jax.jit(
        lambda params, text: [
            net.apply(params, {}, text, train=True)[0] for net in nets
        ],
        compiler_options=QUICK,
    )
    whole, same, fewer = map(np.asarray, run(params, TEXT))
    np.testing.assert_array_equal(same, whole)
    np.testing.assert_array_equal(fewer[:, :5], whole[:, :5])
    assert np.all(np.abs(fewer - whole)[:, 5:].max(-1) > 1e-3)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: model(max_layers=4), "min_layers <= max_layers <= 3 must hold"),
        (lambda: model(min_layers=2), "min_layers=2 needs max_layers"),
        (
            lambda: MODELS["masked_transformer"].functional(
                MaskedTransformerConfig(**SIZES, **FEWER), Wanted((9,), 5)
            ),
            "max_layers=3 is of a model whose tokens see no later ones",
        ),
    ],
)
def test_numbers_that_do_not_fit_are_refused_in_one_line(make, said):
    with pytest.raises(InputError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.full
def test_decoders_run_the_layers_of_the_training():
    config, net = model(**FEWER)
    params, state = jax.jit(net.init, compiler_options=QUICK)(jax.random.key(1))
    rng = np.random.default_rng(3)
    noise = lambda p: (p + 0.7 * rng.normal(size=p.shape)).astype(p.dtype)
    rows = types.SimpleNamespace(model=MODELS["transformer"])
    run: Any = types.SimpleNamespace(
        folder="run",
        kind="text",
        seeds=1,
        configuration=types.SimpleNamespace(rows=rows, model=config),
        model=net,
        params=jax.tree.map(noise, params),
        model_state=state,
        input_shape=(9,),
        num_classes=5,
        characters=" abcd",
    )
    wanted = Generator(run, "greedy", tokens=6)("ad").text
    found = Generator(run, "skip_decode", tokens=6)("ad")
    assert found.text == wanted
    # The last of the eight tokens is read by no call: 3 at five positions, then 2.
    assert found.counts["layers"] == 3 * 5 + 2 * (found.calls - 5)
    # Without a cache, by whole rows.
    rows.model = types.SimpleNamespace(name="own:Net")
    assert Generator(run, "greedy", tokens=6)("ad").text == wanted
    rows.model = MODELS["transformer"]
    every = Generator(run, "skip_decode", tokens=6, min_layers=3)("ad")
    assert every.counts["layers"] == 3 * every.calls
