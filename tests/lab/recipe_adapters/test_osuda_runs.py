"""OSUDA in a run: the corrupted set, what it adapts, and what it refuses."""

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.data import load_digits
from jaxopt_lab.data.corruptions import corrupt
from jaxopt_lab.data.dataset import Dataset
from jaxopt_lab.lab import load, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.recipe_adapters import osuda
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

NET = ["task=digits", "model=convnet", "model.channels=2", "model.dense=4"]
NET += ["model.norm=ghost_batch_norm", "batch_size=16", "mesh=data:1", "report=off"]
NET += ["log_every=1", "schedule=constant"]


def small(low=0.0, high=1.0, shape=(4, 4, 1)):
    images = np.linspace(low, high, 3 * int(np.prod(shape)), dtype=np.float32)
    part = {"image": images.reshape(3, *shape), "label": np.arange(3)}
    return Dataset("small", "image", part, part, 3, shape)


def test_every_image_is_corrupted_once_and_no_label():
    given = small()
    options = {"corruption": "gaussian_noise", "severity": 2}
    found = osuda.target(given, options)
    for number, part in enumerate(("train", "test")):
        arrays = getattr(found, part)
        images = getattr(given, part)["image"]
        key = jax.random.key(number)
        changed = corrupt(key, images, name="gaussian_noise", severity=2)
        np.testing.assert_array_equal(arrays["image"], changed)
        np.testing.assert_array_equal(arrays["label"], np.arange(3))
    for same in ({"corruption": "none"}, {"severity": 0}):
        assert osuda.target(given, {**options, **same}) is given
    bytes_of = {n: (255 * x).astype(np.uint8) for n, x in given.train.items()}
    whole = Dataset("bytes", "image", bytes_of, bytes_of, 3, (4, 4, 1))
    assert osuda.target(whole, options).train["image"].max() <= 1


@pytest.mark.parametrize(
    "given",
    [small(-1.0), small(0.0, 2.0), small(shape=(6,))],
    ids=["low", "high", "1D"],
)
def test_what_is_no_image_from_0_to_1_is_not_corrupted(given):
    with pytest.raises(InputError, match=r"images \(B, H, W, C\) from 0 to 1; got"):
        osuda.target(given, {"corruption": "contrast", "severity": 1})


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "adapts a trained network; accepted: start_from=FOLDER"),
        (["start_from=x", "precision=bf16"], "in float32; precision=bf16"),
        (["start_from=x", "quantize=w8"], "in float32; quantize=w8"),
        (["start_from=x", "recipe.corruption=fog"], "recipe.corruption"),
        (["start_from=x", "recipe.severity=6"], "severity=6 is out of range"),
        (["start_from=x", "recipe.start=2"], "start=2.0 is out of range"),
        (["start_from=x", "label_smoothing=0.1"], "would do nothing without recipe="),
    ],
)
def test_what_does_not_go_with_it_is_refused(words, said):
    with pytest.raises(InputError, match=said) as refused:
        parse([*NET, "recipe=osuda", *words])
    assert "\n" not in str(refused.value)


def test_a_model_without_batch_normalization_is_refused():
    words = [w for w in NET if not w.startswith("model.norm")]
    with pytest.raises(
        InputError, match="model convnet: .* no batch normal"
    ) as refused:
        runs.assemble(parse([*words, "recipe=osuda", "start_from=x"]))
    assert "model=resnet20" in str(refused.value)


def trained(folder, *words) -> Any:
    return runs.train(parse([*NET, *words, f"out={folder}"]))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("osuda") / "source"
    trained(folder, "method=adam", "learning_rate=0.02", "steps=12", "eval_every=0")
    return folder


def adapt(source, folder, *words):
    given = ["method=sgd", "learning_rate=0.01", "recipe=osuda", *words]
    return trained(folder, *given, f"start_from={source}")


@pytest.mark.full
def test_a_step_has_the_statistics_of_its_batch(source, tmp_path):
    of_batch = ["steps=1", "eval_every=1", "recipe.start=0", "recipe.entropy=0"]
    words = [*of_batch, "recipe.corruption=contrast", "recipe.severity=2"]
    adapt(source, tmp_path, *words)
    before, after = load(source), load(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    same = parse([*NET, "method=sgd", "recipe=osuda", *words, "start_from=x"])
    x = runs.assemble(same).batches.next()["image"]
    kept = to_float(jnp.asarray(load_digits().train["image"]))
    changed = corrupt(jax.random.key(0), kept, name="contrast", severity=2)
    flat = {row.tobytes() for row in np.asarray(changed)}
    assert all(np.asarray(row).tobytes() in flat for row in x)
    test = before.adapting("alpha_bn", alpha=1.0)
    wanted = test.adapt(before.params, test.start(before.model_state), x)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, after.model_state, wanted)
    record = read_metrics(tmp_path / "metrics.jsonl")[0]
    assert record["consistency"] == record["loss"] == 0 and record["entropy"] > 0


@pytest.mark.full
def test_at_the_source_without_terms_nothing_changes(source, tmp_path):
    still = [f"recipe.{name}=0" for name in ("decay", "entropy", "consistency")]
    adapt(source, tmp_path, "steps=2", "eval_every=2", *still)
    before, after = load(source), load(tmp_path)
    for name in ("params", "model_state"):
        ours, theirs = getattr(after, name), getattr(before, name)
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert after.evaluate() == before.evaluate()


@pytest.mark.full
def test_a_pause_changes_nothing(source, tmp_path):
    words = ["steps=4", "save_every=2", "eval_every=2", "seeds=2"]
    words += ["recipe.corruption=gaussian_noise", "recipe.start=0.5"]

    def lines():
        records = read_metrics(tmp_path / "metrics.jsonl")
        return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]

    whole = adapt(source, tmp_path, *words).fitted.state
    records = lines()
    shutil.rmtree(tmp_path / "checkpoints" / "4")
    again = adapt(source, tmp_path, *words).fitted.state
    assert lines() == records
    jax.tree.map(np.testing.assert_array_equal, again[:4], whole[:4])
