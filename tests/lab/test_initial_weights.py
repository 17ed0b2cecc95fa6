"""Runs that begin with the weights of others, and parameters that stay."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import initial_weights, optimizers, run, weights
from jaxopt_lab.lab.command_line import parse

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32)
DATA = ((X, np.arange(24) % 2), (X, np.arange(24) % 2))
OTHER = ((X, np.arange(24) % 3), (X, np.arange(24) % 3))
OPTIONS = {
    "model": "mlp",
    "model_options": {"width": 4, "depth": 1},
    "batch_size": 8,
    "eval_every": 0,
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = run(data=DATA, method="sgd", steps=2, out=folder / "first", **OPTIONS)
    file = folder / "w.npz"
    np.savez(file, **weights.named(found.params, found.model_state))
    return found, file


def test_the_trunk_is_taken_frozen_and_the_head_drawn(first, tmp_path):
    found, file = first
    options = {"start_from": file, "head": "new", "freeze": "hidden"}
    tuned = run(
        data=OTHER, method="sam", steps=3, seeds=2, out=tmp_path, **options, **OPTIONS
    )
    for seed in range(2):
        one = tuned.seed(seed).params
        jax.tree.map(
            np.testing.assert_array_equal, one["hidden"], found.params["hidden"]
        )
        assert one["head"]["kernel"].shape == (4, 3)
    heads = tuned.params["head"]["kernel"]
    assert np.any(heads[0] != heads[1])


def test_all_weights_are_those_of_the_file(first):
    found, file = first
    start = initial_weights.of_run(parse([f"start_from={file}"]))
    zero = jax.tree.map(np.zeros_like, found.params)
    params, state = start(zero, {})
    jax.tree.map(np.testing.assert_array_equal, params, found.params)
    assert state == {}
    text = initial_weights.told(start, params, "head")
    assert "taken: 26 parameters" in text and "frozen: 10 parameters (head/" in text


@pytest.mark.parametrize(
    "words, line",
    [
        (["start_from={file}"], "head/kernel: shape .4, 2. for .4, 3.*head=new draws"),
        (["start_from=nowhere"], "start_from=nowhere is no run and no file"),
        (["start_from={file}", "head=("], r"head=\( is no regular expression"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(first, words, line):
    found, file = first
    with pytest.raises(InputError, match=line) as caught:
        start = initial_weights.of_run(parse([w.format(file=file) for w in words]))
        shapes = jax.tree.map(np.zeros_like, found.params)
        shapes["head"]["kernel"] = np.zeros((4, 3))
        start(shapes, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern, what", [("conv", "none"), (".", "all")])
def test_a_pattern_that_freezes_nothing_or_everything_is_told(first, pattern, what):
    tx = optimizers.build(parse([f"freeze={pattern}", "method=sgd"]))
    with pytest.raises(InputError, match=f"matches {what} of the parameters: head/b"):
        tx.init(first[0].params)


def test_damaged_files_are_told(tmp_path):
    for name in ("w.npz", "w.safetensors"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(InputError, match=f"(cannot read .*{name}|pip install)"):
            weights.read(tmp_path / name)
