"""The planner: exact where it says so, and close where it estimates."""

import dataclasses
import importlib.metadata
import json
import math
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from support.processes import ROOT

from jaxopt_lab.core import trees
from jaxopt_lab.lab.commands import plan as command
from jaxopt_lab.lab.models.configs import ResNet50Config
from jaxopt_lab.lab.plan import estimate, show, tpu, wire
from jaxopt_lab.lab.plan.chips import CHIPS
from jaxopt_lab.lab.plan.configs import MODELS
from jaxopt_lab.lab.plan.decoder import Decoder
from jaxopt_lab.lab.plan.kept import local_bytes
from jaxopt_lab.lab.plan.layout import lay_out, transform
from jaxopt_lab.lab.plan.residual_network import ResidualNetwork
from jaxopt_lab.lab.plan.vision_transformer import VisionTransformer
from jaxopt_lab.training import init_state, make_mesh, make_train_step

TINY = Decoder(64, 32, 4, 4, 2, 96, 512)
PLAIN = Decoder(64, 32, 4, 4, 4, 96, 512, gated=False)


@pytest.mark.full
@pytest.mark.parametrize(
    "name, count",
    [
        ("gpt2-124m", 124_439_808),
        ("llama-60m", 58_073_600),
        ("llama-7b", 6_738_415_616),
        ("llama-70b", 68_976_648_192),
        ("resnet50", 25_557_032),
        ("vit-l", 304_326_632),
    ],
)
def test_models_have_the_parameters_that_they_are_known_for(name, count):
    shapes = MODELS[name].init()[0]
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == count


@pytest.fixture(scope="module")
def planned():
    mesh = make_mesh("data:4,model:2")
    layout = lay_out(TINY, "adamw", mesh, 8, zero="state")
    return layout, estimate.plan(TINY, "adamw", layout)


@pytest.mark.full
def test_operations_are_those_of_the_hand_formula(planned):
    assert planned[1].exact_text
    assert planned[1].flops == TINY.hand_flops(8) / 8


class Short(ResNet50Config):
    blocks = (1, 2)


IMAGES = {
    "vit": VisionTransformer(64, 2, 4, 128, 8, 32, 16),
    "resnet": ResidualNetwork("resnet50", Short(width=8), 64, 16),
}


@pytest.mark.full
@pytest.mark.parametrize("name", IMAGES)
def test_models_of_images(name):
    """Operations and arguments; the taps of convolutions in the padding left out."""
    config = IMAGES[name]
    layout = lay_out(config, "adamw", make_mesh("data:4"), 8, zero="state")
    found = estimate.plan(config, "adamw", layout)
    assert found.flops == config.hand_flops(8) / 4
    assert found.arguments == pytest.approx(found.argument_check, rel=1e-3)


@pytest.mark.full
@pytest.mark.parametrize("config", [TINY, PLAIN], ids=["gated", "plain"])
def test_arguments_are_the_compilers(config):
    mesh = make_mesh("data:4,model:2")
    layout = lay_out(config, "adamw8bit", mesh, 8, zero="state")
    found = estimate.plan(config, "adamw8bit", layout)
    assert found.arguments == pytest.approx(found.argument_check, rel=1e-3)
    assert found.flops == config.hand_flops(8) / 8


@pytest.mark.full
def test_the_gradient_goes_once_over_the_data_axis(planned):
    layout, plan = planned
    sent = wire.by_axis(plan.sent)
    own = layout.bytes_of("params")
    # Products in bfloat16 are reduced in bfloat16, half of the parameters' bytes; the
    # norms' gradients and the loss are few.
    assert sent["all-reduce", ("data",)] == pytest.approx(3 / 4 * own, rel=0.02)
    assert not any(kind == "all-to-all" for kind, _ in sent)
    assert ("all-gather", ("data",)) in sent


@pytest.mark.full
def test_the_optimizer_state_is_divided(planned):
    layout, plan = planned
    whole = 8 * sum(math.prod(x.shape) for x in jax.tree.leaves(layout.state.params))
    assert plan.optimizer < whole / 4
    fixed = [x for x in jax.tree.leaves(layout.state.opt_state) if x.ndim == 0]
    assert plan.optimizer == pytest.approx(
        sum(
            local_bytes(x, s)
            for x, s in zip(
                jax.tree.leaves(layout.state.opt_state),
                jax.tree.leaves(layout.storage.opt_state),
                strict=True,
            )
        )
    )
    assert fixed


@pytest.mark.full
def test_what_a_step_gathers_is_counted():
    mesh = make_mesh("data:8")
    for method, whole in (("soap", 7 / 8), ("adamw", 0.0)):
        layout = lay_out(TINY, method, mesh, 8, zero="state")
        plan = estimate.plan(TINY, method, layout)
        state = 8 * plan.optimizer
        assert plan.gathered == pytest.approx(whole * state, rel=0.01)
        gathers = wire.by_axis(plan.sent).get(("all-gather", ("data",)), 0.0)
        # The state of SOAP, or the updates of AdamW.
        least = plan.gathered or 7 / 8 * plan.parameters
        assert gathers == pytest.approx(least, rel=0.05)
        assert plan.peak_estimate >= plan.arguments + plan.gradients + plan.gathered


@pytest.mark.full
def test_residuals_grow_with_the_layers_as_the_compilers_temporaries_do():
    """In float32, where the temporaries of this backend are to be trusted."""
    mesh = make_mesh("data:1")

    def measured(depth):
        config = dataclasses.replace(TINY, depth=depth, width=64, hidden=256)
        layout = lay_out(config, "sgd", mesh, 16, zero="none")
        loss = config.loss_fn(jnp.float32)
        kept = sum(r.nbytes for r in estimate.residuals(loss, layout))
        scalar = lambda p, b: loss(p, {}, b, None)[0]
        lowered = jax.jit(jax.grad(scalar)).lower(layout.state.params, layout.batch)
        return kept, lowered.compile().memory_analysis().temp_size_in_bytes

    (few, temp_few), (many, temp_many) = measured(4), measured(12)
    assert many - few == pytest.approx(temp_many - temp_few, rel=0.05)
    # The carry of each layer, and nothing else.
    assert many - few == 8 * 16 * 512 * 64 * 4


@pytest.mark.full
@pytest.mark.parametrize("config", [TINY, PLAIN], ids=["gated", "plain"])
def test_the_models_are_models(config):
    """They run and are causal: a later token does not change an earlier loss."""
    config = dataclasses.replace(config, context=8, depth=2)
    key = jax.random.key(0)
    params = jax.tree.map(
        lambda x: 0.3 * jax.random.normal(key, x.shape, x.dtype), config.init()[0]
    )
    tokens = jax.random.randint(key, (2, 9), 0, 64, jnp.int32)
    loss = config.loss_fn(jnp.float32)
    step = make_train_step(loss, transform("sgd"))
    state = init_state(transform("sgd"), params, key)
    after, metrics = jax.jit(step)(state, {"tokens": tokens})
    assert np.isfinite(metrics["loss"]) and trees.differences(state, after) == []

    def last_but_two(tokens):
        shorter = dataclasses.replace(config, context=6)
        short = jax.tree.map(lambda x: x, params)
        if not config.gated:
            short["positions"] = short["positions"][:6]
        return shorter.loss_fn(jnp.float32)(short, {}, {"tokens": tokens[:, :7]}, None)[
            0
        ]

    gradient = jax.grad(
        lambda e: loss({**params, "embedding": e}, {}, {"tokens": tokens}, None)[0]
    )(params["embedding"])
    assert float(jnp.max(jnp.abs(gradient))) > 0
    changed = tokens.at[:, 7:].set(0)
    np.testing.assert_array_equal(last_but_two(tokens), last_but_two(changed))


@pytest.mark.full
def test_times_are_a_range_with_links_by_axis(planned):
    layout, plan = planned
    times = show.step_times(plan, CHIPS["H100"], layout.mesh.shape)
    assert times["low"] == max(times[k] for k in ("compute", "memory", "wire"))
    assert times["high"] == sum(times[k] for k in ("compute", "memory", "wire"))
    chip = CHIPS["H100"]
    assert chip.link(1, 8) == chip.near_link and chip.link(8, 2) == chip.far_link
    assert CHIPS["v5p"].link(64, 64) == CHIPS["v5p"].near_link


@pytest.fixture
def environment(monkeypatch):
    """Puts back what a command sets for its process."""
    for name in ("XLA_FLAGS", "TPU_SKIP_MDS_QUERY", "ALLOW_MULTIPLE_LIBTPU_LOAD"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def refused(words, capsys):
    """The one line that a command with bad input leaves."""
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    "words, said",
    [
        (["model=lama-7b"], "unknown model 'lama-7b'; perhaps you meant 'llama-7b'"),
        (["method=adamm"], "unknown method 'adamm'"),
        (["mesh=data"], "mesh=data cannot be read"),
        (["mesh=data:100000"], "has 100000 devices; accepted: 1 to 4096"),
        (["mesh=model:8"], "a plan takes the axes data and model"),
        (["mesh=data:8", "batch=12"], "batch=12 cannot be cut into 8 equal parts"),
        (["batch=0"], "batch=0 is out of range"),
        (["chip=H300"], "unknown chip 'H300'"),
        (["zero=1"], "unknown zero '1'"),
        (["modle=llama-7b"], "unknown option 'modle'; perhaps you meant 'model'"),
        (["llama-7b"], "options are key=value"),
        (["target=v6e:2x4"], "no figures of v6e are kept; give chip="),
        (["target=v5p:abc"], "target=v5p:abc cannot be read; write a TPU and its"),
        (["target=v5p"], "target=v5p cannot be read"),
        (["target=H100:2x2x2"], "target=H100:2x2x2 cannot be read"),
        (
            ["target=v5p:2x2x2", "method=all"],
            "compiles one method; method=all compiles",
        ),
        (
            ["target=v5p:2x2x2", "model=llama-60m", "batch=8"],
            "needs the package libtpu",
        ),
    ],
)
def test_bad_input_is_one_line(words, said, capsys, monkeypatch, environment):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    words = ["mesh=data:8", *words] if "mesh" not in words[0] else words
    assert said in refused(words, capsys)


def test_what_libtpu_refuses_is_one_line(capsys, monkeypatch, environment):
    def described(target, platform):
        if target == "v5e:2x2":
            return types.SimpleNamespace(devices=jax.devices()[:4])
        raise RuntimeError(f"INVALID_ARGUMENT: no {target} on {platform}\nat a.cc:1")

    monkeypatch.setattr(tpu, "_version", lambda: "0")
    monkeypatch.setattr(topologies, "get_topology_desc", described)
    words = ["model=llama-60m", "mesh=data:8", "batch=8"]
    said = refused([*words, "target=v9z:2x4", "chip=v5p"], capsys)
    assert "target=v9z:2x4: libtpu does not know it (INVALID_ARGUMENT: no v9z" in said
    said = refused([*words, "target=v5e:2x2"], capsys)
    assert "target=v5e:2x2 has 4 devices, the mesh 8" in said


def test_help_names_every_option(capsys):
    assert command.main(["--help"]) == 0
    out = capsys.readouterr().out
    for field in dataclasses.fields(command.PlanOptions):
        assert f"  {field.name} " in out
    assert "(default: llama-7b)" in out


@pytest.mark.full
@pytest.mark.parametrize("method", ["sam", "all"])
def test_the_command(tmp_path, method):
    file = tmp_path / "plan.json"
    words = ["model=llama-60m", f"method={method}", "mesh=data:16", "batch=64"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.plan", *words, f"json={file}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    figures = json.loads(file.read_text())
    if method == "all":
        assert "adamw4bit" in done.stdout and len(figures) > 40
        return
    assert figures["arguments"] == pytest.approx(
        figures["argument_size_in_bytes"], rel=1e-3
    )
    assert figures["flops"] == 2 * MODELS["llama-60m"].hand_flops(64) / 16
    assert "peak" in done.stdout and "estimate" in done.stdout


# Of target=v5e:2x4, and of the last two target=v5p:4x4x4.
TPU_PEAKS = {
    "model=llama-60m mesh=data:8 batch=64": 1.380e9,
    "model=llama-60m mesh=data:8 batch=256": 3.181e9,
    "model=gpt2-124m mesh=data:8 batch=64": 2.728e9,
    "model=vit-l mesh=data:8 batch=256": 6.009e9,
    "model=llama-7b mesh=data:16,model:4 batch=1024": 76.732e9,
    "model=llama-7b mesh=data:64 zero=all batch=1024": 18.272e9,
}


@pytest.mark.full
@pytest.mark.parametrize("words", TPU_PEAKS)
def test_the_estimated_peak_is_near_that_of_the_tpu_compiler(tmp_path, words):
    """Figures of libtpu 0.0.42.1 under jax 0.10.2, with adamw."""
    file = tmp_path / "plan.json"
    subprocess.run(
        [sys.executable, "-m", "experiments.plan", *words.split(), f"json={file}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=300,
    )
    figures = json.loads(file.read_text())
    assert figures["peak_estimate"] == pytest.approx(TPU_PEAKS[words], rel=0.1)
    given = dict(word.split("=") for word in words.split())
    devices = 8 if given["mesh"] == "data:8" else 64
    by_hand = MODELS[given["model"]].hand_flops(int(given["batch"])) / devices
    assert figures["flops"] == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.full
def test_the_estimated_peak_of_convolutions_is_near_that_of_the_tpu_compiler():
    """ResNet-50 for v5e:2x4, as above, but for the partitioner, which takes longest."""
    model = MODELS["resnet50"]
    layout = lay_out(model, "adamw", make_mesh("data:8"), 256, zero="none")
    batch = sum(local_bytes(x, x.sharding) for x in jax.tree.leaves(layout.batch))
    parts = [layout.bytes_of(part) for part in layout.state._fields]
    found = estimate.Plan(
        arguments=sum(parts) + batch,
        parameters=layout.bytes_of("params"),
        optimizer=layout.bytes_of("opt_state"),
        residuals=estimate.residuals(model.loss_fn(), layout),
        logits=0.0,
        gradients=layout.bytes_of("params"),
        working=0.0,
        gathered=0.0,
        flops=math.nan,
        sent=[],
        exact_text=False,
        argument_check=math.nan,
    )
    assert found.peak_estimate == pytest.approx(1.650e9, rel=0.1)


@pytest.mark.full
def test_the_tpu_compiler_where_it_is_there(tmp_path):
    pytest.importorskip("libtpu")
    file = tmp_path / "plan.json"
    words = ["model=llama-60m", "mesh=data:8", "batch=64", "target=v5e:2x4"]
    subprocess.run(
        [sys.executable, "-m", "experiments.plan", *words, f"json={file}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=600,
    )
    figures = json.loads(file.read_text())
    assert figures["target_memory"]["peak"] == pytest.approx(
        figures["peak_estimate"], rel=0.1
    )
