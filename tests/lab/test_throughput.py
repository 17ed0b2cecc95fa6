"""Counts, speed and text scores of a run."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import operations, report, run_files, runs, throughput
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.runtime import read_metrics
from jaxopt_lab.training.sources import as_source

TINY = ["task=digits", "model=mlp", "model.width=4", "model.depth=1"]


@pytest.mark.parametrize(
    "words, gradients",
    [
        (["method=sgd"], 1),
        (["method=sam"], 2),
        (["method=looksam", "every=4"], 1.25),
        (["method=lookbehind", "k=3"], 4),
    ],
)
def test_gradients_are_those_of_the_catalog(words, gradients):
    found = throughput.counts(parse([*TINY, *words, "batch_size=10"]))
    assert found == {"examples": 10, "gradients": gradients}


def count(f, *args):
    return operations.products(jax.make_jaxpr(f)(*args).jaxpr)


def test_operations_of_products_loops_and_branches():
    x = jnp.ones((4, 4))
    one = 2 * 4**3
    assert count(lambda x: x @ x, x) == one
    assert count(jax.jit(lambda x: jnp.tanh(x @ x) @ x), x) == 2 * one

    def scanned(x):
        return jax.lax.scan(lambda c, _: (c @ x, None), x, None, length=5)[0]

    assert count(scanned, x) == 5 * one

    def branch(x):
        return jax.lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x)

    assert count(branch, x) == 2 * one
    assert count(jax.grad(lambda x: jnp.sum(jnp.tanh(x @ x))), x) == 3 * one


@pytest.mark.parametrize("stride", [1, 2])
def test_operations_of_a_convolution_and_its_gradients(stride):
    x, w = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5))

    def loss(x, w):
        names = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=names
        )
        return jnp.sum(y**2)

    one = 2 * 2 * (8 // stride) ** 2 * 5 * 9 * 3
    assert count(loss, x, w) == one
    both = count(jax.grad(loss, (0, 1)), x, w)
    assert both == pytest.approx(3 * one, rel=0.01)


def test_the_part_of_a_known_device(monkeypatch):
    chip = operations.CHIPS["H100"]
    monkeypatch.setattr(operations, "chip_of", lambda kind: chip)
    x = np.ones((8, 64), np.float32)
    batches = as_source([x, x])
    program = SimpleNamespace(
        step=lambda w, x: (x @ w, {}),
        state=np.ones((64, 4), np.float32),
        batches=batches,
        mesh=SimpleNamespace(size=2),
    )
    configuration = parse([*TINY, "method=sgd", "batch_size=8", "seeds=3"])
    before = batches.get_state()
    found = throughput.speed(configuration, program, 1e-6)
    done = 2 * 8 * 64 * 4
    assert found["mfu"] == pytest.approx(done / 1e-6 / (2 * chip.flops))
    assert found["examples_per_second"] == pytest.approx(24e6)
    assert found["mfu_of"] == "H100" and batches.get_state() == before
    unknown = throughput.speed(configuration, program, math.nan)
    assert set(unknown.values()) == {None}


def test_names_of_devices():
    names = {
        "TPU v5 lite": "v5e",
        "TPU v5p": "v5p",
        "NVIDIA H200": "H200",
        "TPU v5": "v5p",
    }
    for kind, name in names.items():
        chip = operations.chip_of(kind)
        assert chip is not None and chip.name == name
    assert operations.chip_of("NVIDIA A100") is None


def test_perplexity_and_bits():
    tested = {"loss": np.array([math.log(2), math.log(8)]), "accuracy": 0.5}
    found = throughput.text_scores(tested, "token")
    np.testing.assert_allclose(found["perplexity"], [2, 8])
    np.testing.assert_allclose(found["bits_per_token"], [1, 3])
    assert found.keys() == {"perplexity", "bits_per_token"}


@pytest.mark.full
def test_a_text_run_shows_them_and_a_profile_its_operations(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 60)
    words = ["task=text", f"data_dir={text}", "batch_size=4", "eval_every=0", "steps=5"]
    words += ["model.width=8", "model.depth=1", "model.context=16", "model.heads=2"]
    words += ["profile=steps:2-4", f"out={tmp_path}/run", "val=0.2", "log_every=2"]
    told = runs.train(parse(words)).summary
    shown = dict(report.rows(told))
    for label in ("final test perplexity", "bits a character", "throughput"):
        assert label in shown
    bits = told["final_loss"][0] / math.log(2)
    assert told["final_bits_per_character"] == [pytest.approx(bits)]
    assert 1 <= len(told["longest_operations"]) <= 5
    assert "longest operations" in shown
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert records[-1]["val_perplexity"] > 1
    assert [r["examples"] for r in records if r["kind"] == "train"] == [8, 16, 20]
    assert run_files.foreign(tmp_path / "run") == []
    with pytest.raises(InputError, match="would trace nothing: the run is at step 5"):
        more = [w for w in words if not w.startswith("steps=")]
        runs.train(parse([*more, "steps=9", "existing=continue"]))


@pytest.mark.parametrize(
    "profile, said",
    [
        ("100-110", "profile=100-110 cannot be read; accepted: steps:FIRST-LAST"),
        ("steps:5", "cannot be read"),
        ("steps:9-3", "is out of range; the steps are 1 to 2000"),
        ("steps:1990-2010", "is out of range; the steps are 1 to 2000"),
    ],
)
def test_profiles_that_do_not_fit_are_refused(profile, said):
    with pytest.raises(InputError, match=said):
        parse([f"profile={profile}"])
