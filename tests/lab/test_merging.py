"""Runs merged: soups, and T3 by batch and by example against loops."""

import json
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.inference import jensen_shannon, t3_coefficient
from jaxopt_lab.lab import load, merging
from jaxopt_lab.lab.commands import merge
from jaxopt_lab.lab.models.configs import MLPConfig
from jaxopt_lab.losses import classification as losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 6)
BATCHES = [
    {"image": X[:4], "label": Y[:4], "weight": np.ones(4, np.float32)},
    {"image": X[2:], "label": Y[2:], "weight": np.float32([0, 0, 1, 1])},
]
OPTIONS = {"least": 0.2, "most": 0.8, "gamma": 8.0, "center": 0.3}


def apply(params, state, x, *, train, key=None):
    return x @ params["w"] + state["shift"], state


MODEL = Functional(None, apply)  # type: ignore[arg-type]
METRIC = losses.classification_metrics(MODEL)


def run_of(name, scale=1.0, **changes) -> Any:
    rng = np.random.default_rng(len(name))
    run = types.SimpleNamespace(
        folder=name,
        seeds=1,
        kind="image",
        input_shape=(4,),
        num_classes=3,
        configuration=types.SimpleNamespace(
            run=types.SimpleNamespace(model="mlp"), model=MLPConfig()
        ),
        params={"w": jnp.asarray(scale * rng.normal(size=(4, 3)), jnp.float32)},
        model_state={"shift": jnp.float32(1), "count": jnp.int32(len(name))},
        model=MODEL,
        prepared=jnp.asarray,
        program=types.SimpleNamespace(test_metric_fn=METRIC),
        test_batches=BATCHES,
    )
    run.with_weights = lambda params, state: (params, state)
    run.__dict__.update(changes)
    return run


def test_soups_are_means_of_weights_and_of_batch_statistics():
    runs = [run_of("a"), run_of("bcd")]
    runs[1].model_state["shift"] = jnp.float32(3)
    params, state = merging.soup(runs)
    wanted = (runs[0].params["w"] + runs[1].params["w"]) / 2
    np.testing.assert_allclose(params["w"], wanted, rtol=1e-6)
    assert float(state["shift"]) == 2 and int(state["count"]) == 1
    start = run_of("start")
    moved, _ = merging.soup(runs, start=start, temperature=np.inf)
    np.testing.assert_allclose(moved["w"], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("by", ["batch", "example"])
def test_t3_is_the_plain_loop(by):
    one, two = run_of("a", 2.0), run_of("bcd", 2.0)
    found = merging.evaluate_t3(one, two, by=by, **OPTIONS)
    w = np.stack([one.params["w"], two.params["w"]])
    shares, loss, right = [], 0.0, 0.0
    for batch in BATCHES:
        logits = np.einsum("bi,kij->kbj", batch["image"], w) + 1
        apart = np.asarray(jensen_shannon(*jnp.asarray(logits)))
        real = batch["weight"] > 0
        if by == "batch":
            apart = np.full_like(apart, apart[real].mean())
            shares.append(t3_coefficient(apart[0], **OPTIONS))
        else:
            shares += list(t3_coefficient(apart[real], **OPTIONS))
        share = np.asarray(t3_coefficient(apart, **OPTIONS))[:, None]
        z = share * logits[0] + (1 - share) * logits[1]
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        each = -np.log(p[np.arange(4), batch["label"]])
        loss += each[real].sum()
        right += (z.argmax(1) == batch["label"])[real].sum()
    np.testing.assert_allclose(found.coefficients, shares, rtol=1e-5)
    np.testing.assert_allclose(found.metrics["loss"], loss / 6, rtol=1e-5)
    np.testing.assert_allclose(found.metrics["accuracy"], right / 6, rtol=1e-6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: merging.soup([run_of("a")]), "at least two folders; got 1"),
        (lambda: merging.soup([run_of("a"), run_of("b", seeds=2)]), "b has 2 seeds"),
        (
            lambda: merging.soup([run_of("a"), run_of("b", num_classes=4)]),
            "runs must have one model; classes is 3 in a and 4 in b",
        ),
        (
            lambda: merging.evaluate_t3(*(run_of(n, kind="text") for n in "ab")),
            "t3 merges classifiers; a is on text",
        ),
        (
            lambda: merging.evaluate_t3(run_of("a"), run_of("b"), gamma=-1.0),
            "gamma must be at least 0",
        ),
    ],
)
def test_bad_runs(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "runs= is missing"),
        (["runs=none,other"], "none holds no run"),
        (["runs=a,b", "gamma=0.7"], "gamma= is an option of method=t3"),
        (["runs=a,b", "method=delta"], "method=delta needs start="),
        (["runs=a,b", "out=x.txt"], "out=x.txt; accepted: .npz or .safetensors"),
        (["runs=a,b", "method=t3", "out=x.npz"], "out=x.npz; accepted"),
        (["runs=a,b", "method=t3", "least=2"], "least=2.0 is out of range"),
    ],
)
def test_the_command_refuses_in_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert merge.main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.full
def test_trained_runs_are_merged_by_the_command(tmp_path, capsys):
    from jaxopt_lab.lab.commands import train

    common = ["task=digits", "model=mlp", "model.width=8", "method=sgd", "steps=20"]
    common += ["curvature=off", "progress=off"]
    folders = [str(tmp_path / name) for name in "ab"]
    for seed, folder in enumerate(folders):
        assert train.main([*common, f"seed={seed}", f"out={folder}"]) == 0
    capsys.readouterr()
    out = tmp_path / "merged.npz"
    words = [f"runs={','.join(folders)}"]
    assert merge.main([*words, f"out={out}"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(told["tests"]) == {*folders, "soup"}
    kernels = [load(f).params["head"]["kernel"] for f in folders]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *kernels)
    np.testing.assert_allclose(np.load(out)["params/head/kernel"], mean, rtol=1e-6)
    assert merge.main([*words, "method=t3", "least=1", "most=1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["share"] == [1, 1, 1]
    for name, value in told["tests"][folders[0]].items():
        np.testing.assert_allclose(told["tests"]["t3"][name], value, rtol=1e-5)
