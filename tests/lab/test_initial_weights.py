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


def test_weights_with_the_names_of_pytorch_are_read():
    from jaxopt_lab.lab.initial_weights import Start

    rng = np.random.default_rng(0)
    shapes = {
        "conv": {"kernel": (3, 2, 4, 5), "bias": (5,)},
        "norm": {"scale": (5,), "bias": (5,)},
        "head": {"kernel": (5, 5)},
        "table": {"embedding": (7, 3)},
    }
    draw = lambda shape: rng.normal(size=shape).astype(np.float32)
    is_shape = lambda x: isinstance(x, tuple)
    wanted = jax.tree.map(draw, shapes, is_leaf=is_shape)
    statistics = {"norm": {"mean": draw((5,)), "var": draw((5,))}}
    theirs = {
        "conv.weight": wanted["conv"]["kernel"].transpose(3, 2, 0, 1),
        "conv.bias": wanted["conv"]["bias"],
        "norm.weight": wanted["norm"]["scale"],
        "norm.bias": wanted["norm"]["bias"],
        "norm.running_mean": statistics["norm"]["mean"],
        "norm.running_var": statistics["norm"]["var"],
        "head.weight": wanted["head"]["kernel"].T,
        "table.weight": wanted["table"]["embedding"],
    }
    zeros = jax.tree.map(np.zeros_like, (wanted, statistics))
    got = Start(theirs, "", "x.safetensors")(*zeros)
    jax.tree.map(np.testing.assert_array_equal, got, (wanted, statistics))
    # Dots without PyTorch's ends, and no "params/".
    plain = {"head/kernel": wanted["head"]["kernel"]}
    got, _ = Start(plain, "", "x.npz")({"head": {"kernel": np.zeros((5, 5))}}, {})
    np.testing.assert_array_equal(got["head"]["kernel"], wanted["head"]["kernel"])
    with pytest.raises(InputError, match=r"it has fc.weight\); head=new"):
        Start({"fc.weight": np.zeros(2)}, "", "x")(zeros[0], {})
    image = {"dense.weight": np.zeros((3, 20)), "conv.weight": np.zeros((5, 2, 3, 3))}
    with pytest.raises(InputError, match="the 20 inputs of dense/kernel are channels"):
        Start(image, "", "x")({"dense": {"kernel": np.zeros((20, 3))}}, {})
    Start(image, "dense", "x")({"dense": {"kernel": np.zeros((20, 3))}}, {})
