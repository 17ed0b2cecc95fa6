"""The lab's models cut over the axis "model" by their own rules."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.trees import path_name
from jaxopt_lab.lab.models import MODELS
from jaxopt_lab.lab.models.configs import (
    ConvNetConfig,
    MLPConfig,
    ResNet20Config,
    WideResNetConfig,
)
from jaxopt_lab.lab.models.sharding import default_rules
from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned
from jaxopt_lab.lab.plan.wire import sent
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import (
    from_nnx,
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    state_shardings,
)
from jaxopt_lab.training.sharding_rules import param_specs

CLASSES = 5


class OneBlock(ResNet20Config):
    blocks = (1, 1)


SMALL = {
    "mlp": MLPConfig(width=8),
    "convnet": ConvNetConfig(channels=(4, 6), dense=4),
    "resnet20": OneBlock(width=4, norm="group", groups=2),
    "wide_resnet": WideResNetConfig(depth=10, widen=1),
}


def functional(name, config=None, **options):
    row = MODELS[name]
    shape = (6,) if row.kind == "text" else (8, 8, 3)
    config = dataclasses.replace(config or row.config(), **options)
    return from_nnx(row.build(config, shape, CLASSES))


def cut(name, **options):
    """Paths of the cut parameters, with their specs."""
    mesh = make_mesh("data:2,model:2")
    params = jax.eval_shape(functional(name, **options).init, jax.random.key(0))[0]
    specs = param_specs(params, default_rules(name, mesh, params), mesh)
    named = jax.tree.leaves_with_path(specs, is_leaf=lambda x: isinstance(x, P))
    return {path_name(path): spec for path, spec in named if spec}


@pytest.mark.full(plain=["mlp", "convnet", "lstm"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_rules_that_fit_its_sizes(name):
    assert cut(name)
    params = jax.eval_shape(functional(name).init, jax.random.key(0))[0]
    assert default_rules(name, make_mesh("data:4"), params) == ()


@pytest.mark.full(plain=["convnet-options0", "convnet-options1"])
@pytest.mark.parametrize(
    "name, options",
    [
        ("convnet", {"channels": (4,)}),
        ("convnet", {"channels": (4, 4, 4)}),
        ("resnet18", {"norm": "group"}),
        ("resnet50", {"width": 16}),
        ("wide_resnet", {"depth": 16, "norm": "group"}),
    ],
)
def test_rules_fit_other_configurations(name, options):
    assert cut(name, **options)


@pytest.mark.full
def test_pairs():
    found = cut("convnet", channels=(4, 4, 4))
    assert set(found) == {
        "convs/0/kernel",
        "convs/0/bias",
        "convs/1/kernel",
        "dense/kernel",
        "dense/bias",
        "head/kernel",
    }
    # Without a second convolution the first is whole.
    assert set(cut("convnet", channels=(4,))) == {
        "dense/kernel",
        "dense/bias",
        "head/kernel",
    }
    bottleneck = cut("resnet50", width=16)
    assert bottleneck["blocks/3/convs/0/kernel"] == P(None, None, None, "model")
    assert bottleneck["blocks/3/convs/1/kernel"] == P(None, None, "model", None)
    assert "blocks/3/convs/2/kernel" not in bottleneck
    assert "blocks/3/norms/1/scale" not in bottleneck


def batch():
    draw = np.random.default_rng(0)
    return {
        "image": jnp.asarray(draw.normal(size=(8, 8, 8, 3))),
        "label": jnp.asarray(draw.integers(0, CLASSES, 8), jnp.int32),
    }


@functools.cache
def trained(name, mesh):
    """One step of momentum: the state, and what was sent over each mesh axis."""
    model = functional(name, SMALL[name], dtype="float64")
    loss = losses.classification_loss(model)
    tx = optax.sgd(0.1, momentum=0.9)

    def init(key):
        params, model_state = model.init(key)
        return init_state(tx, params, key, model_state)

    key = jax.random.key(0)
    if mesh is None:
        return jax.jit(make_train_step(loss, tx))(jax.jit(init)(key), batch())[0], []
    mesh = make_mesh(mesh)
    shapes = jax.eval_shape(init, key)
    there = state_shardings(shapes, default_rules(name, mesh, shapes.params), mesh)
    step = jax.jit(make_parallel_step(loss, tx, mesh, there))
    state = jax.jit(init, out_shardings=there)(key)
    placed = jax.device_put(batch(), NamedSharding(mesh, P("data")))
    found = sent(
        read_module(compile_partitioned(step.lower(state, placed)).text), mesh.shape
    )
    return step(state, placed)[0], found


@pytest.mark.full
@pytest.mark.parametrize("name", SMALL)
def test_one_step_is_that_of_one_device(name):
    alone, _ = trained(name, None)
    spread, _ = trained(name, "data:2,model:2")
    for a, b in zip(
        jax.tree.leaves(alone[1:4]), jax.tree.leaves(spread[1:4]), strict=True
    ):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)
    specs = {
        path_name(path): x.sharding.spec
        for path, x in jax.tree.leaves_with_path(spread.params)
    }
    assert any("model" in str(spec) for spec in specs.values())


@pytest.mark.full
@pytest.mark.parametrize("name", ["convnet", "resnet20", "wide_resnet"])
def test_weights_stay_where_they_are(name):
    """Activations travel along the model axis; no weight or gradient of one does."""
    state, found = trained(name, "data:2,model:2")
    over_model = {one.array.shape for one in found if "model" in one.axes}
    cut = [
        x.shape
        for x in jax.tree.leaves(state.params)
        if not x.sharding.is_fully_replicated and x.ndim == 4
    ]
    assert over_model and cut and not over_model & set(cut)
    assert {one.kind for one in found if one.array.shape} <= {
        "all-reduce",
        "all-gather",
    }
