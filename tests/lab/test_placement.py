"""One command on one device and on many: the same run."""

import json

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line, placement, runs
from jaxopt_lab.runtime import read_metrics

SHORT = ["steps=6", "log_every=3", "eval_every=0", "save_every=0", "progress=off"]


def trained(folder, *words, model="mlp"):
    configuration = command_line.parse([*SHORT, f"model={model}", *words])
    return runs.train(configuration, folder)


def losses(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [np.ravel(r["loss"]).tolist() for r in records]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    trained(folder, "mesh=data:1")
    return losses(folder)


@pytest.mark.full
@pytest.mark.parametrize(
    "words",
    [
        ["mesh=data:4"],
        ["mesh=data"],
        ["mesh=data:4", "style=shard_map"],
        ["mesh=data:4", "style=pmap"],
        ["mesh=data:4,model:2"],
        ["mesh=data:2,model:4", "rules=head/kernel=model", "zero=true"],
        ["mesh=data:4", "micro_batches=2"],
        ["mesh=data:8", "zero=true"],
        ["mesh=data:1,model:2", "zero=true"],
    ],
    ids=" ".join,
)
def test_every_mesh_gives_the_losses_of_one_device(tmp_path, alone, words):
    trained(tmp_path / "run", *words)
    np.testing.assert_allclose(losses(tmp_path / "run"), alone, rtol=2e-5)


@pytest.mark.full
def test_a_run_moves_from_mesh_to_mesh(tmp_path, alone):
    """1 -> 8 with a divided state -> 4 x 2 -> 1, by resuming with another mesh."""
    folder = tmp_path / "run"
    for steps, mesh in ((1, "data:1"), (3, "data"), (5, "data,model:2"), (6, "data:1")):
        words = [f"steps={steps}", f"mesh={mesh}", "schedule=constant"]
        words += ["zero=true"] if mesh == "data" else []
        configuration = command_line.parse([*SHORT[1:], "model=mlp", *words])
        settings = (
            runs.train(configuration, folder)
            if steps == 1
            else _continued(folder, words)
        )
        assert settings.summary["steps"] == steps
    whole = tmp_path / "whole"
    trained(whole, "mesh=data:1", "schedule=constant")
    np.testing.assert_allclose(losses(folder)[-1], losses(whole)[-1], rtol=2e-5)


def _continued(folder, words):
    configuration = command_line.parse(
        [*SHORT[1:], "model=mlp", *words, "existing=continue"]
    )
    return runs.train(configuration, folder)


@pytest.mark.full
def test_a_resumed_run_may_change_its_mesh_but_not_its_numbers(tmp_path):
    trained(tmp_path / "run", "mesh=data:1")
    assert trained(tmp_path / "run", "mesh=data:4", "zero=true").fitted is None
    with pytest.raises(InputError, match="batch_stats"):
        trained(tmp_path / "run", "mesh=data:4", "batch_stats=local")
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert not settings.keys() & {"mesh", "style", "zero", "rules"}


@pytest.mark.full
def test_batch_statistics_are_global_unless_local_is_asked(tmp_path):
    words = ["steps=2", "log_every=1", "eval_every=0", "save_every=0", "progress=off"]
    words += ["model=resnet20", "batch_size=32"]
    found = {}
    for name, more in {
        "one": ["mesh=data:1"],
        "jit": ["mesh=data:2"],
        "shard_map": ["mesh=data:2", "style=shard_map"],
        "local": ["mesh=data:2", "style=shard_map", "batch_stats=local"],
    }.items():
        configuration = command_line.parse([*words, *more])
        runs.train(configuration, tmp_path / name)
        found[name] = losses(tmp_path / name)[0]
    np.testing.assert_allclose(found["jit"], found["one"], rtol=1e-4)
    np.testing.assert_allclose(found["shard_map"], found["one"], rtol=1e-4)
    assert abs(found["local"][0] - found["one"][0]) > 1e-3


def test_shards_of_the_batch_are_counted_over_all_devices():
    configuration = command_line.parse(["method=msam", "num_shards=8", "mesh=data:4"])
    placed = placement.chosen(configuration)
    assert placed.per_device
    seen = placement.on_each_device(configuration, placed)
    assert seen.method["num_shards"] == 2
    odd = command_line.parse(["method=msam", "num_shards=6", "mesh=data:4"])
    with pytest.raises(InputError, match="num_shards=6 is not a multiple of the 4"):
        placement.on_each_device(odd, placed)


def test_virtual_devices_are_left_alone_by_default():
    assert jax.device_count() == 8
    assert placement.chosen(command_line.parse([])) is None


@pytest.mark.parametrize(
    "words, said",
    [
        (["mesh=data:16"], "needs 16 devices, here are 8"),
        (["mesh=model:2"], "mesh=model:2 needs an axis 'data'"),
        (["mesh=data:4", "batch_size=30"], "batch_size=30 cannot be cut into 4 parts"),
        (["zero=true", "mesh=data:1"], "zero=True needs several devices"),
        (["rules=x=data", "mesh=data:1"], "rules=x=data needs several devices"),
    ],
)
def test_what_does_not_fit(words, said):
    with pytest.raises(InputError, match=said):
        placement.chosen(command_line.parse(words))
