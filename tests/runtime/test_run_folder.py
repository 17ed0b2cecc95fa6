"""A run folder is refused to another configuration."""

import errno
import json
import os

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.run_folder import refuse_other_config

CONFIG = {"method": "sam", "rho": 0.1, "sizes": (1, 2), "rate": float("inf")}


def test_the_same_configuration_may_go_on(tmp_path):
    folder = tmp_path / "runs" / "a"
    refuse_other_config(folder, CONFIG)
    before = (folder / "config.json").stat()
    refuse_other_config(folder, dict(reversed(CONFIG.items())))
    refuse_other_config(folder, {**CONFIG, "sizes": [1, 2]}, force=True)
    after = (folder / "config.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_differing_keys_are_named(tmp_path):
    refuse_other_config(tmp_path, {"a": 1, "b": "x", "old": None})
    with pytest.raises(InputError) as info:
        refuse_other_config(tmp_path, {"a": 1, "b": "y", "new": [1.5]})
    assert str(info.value) == (
        f'{tmp_path} was made with another configuration: b was "x", now "y"; new was '
        "not given, now [1.5]; old was null, now not given"
    )
    assert json.loads((tmp_path / "config.json").read_text())["b"] == "x"


def test_one_and_true_are_not_the_same(tmp_path):
    refuse_other_config(tmp_path, {"seeds": 1})
    with pytest.raises(InputError, match="seeds was 1, now true"):
        refuse_other_config(tmp_path, {"seeds": True})


def test_nan_is_the_same_as_nan(tmp_path):
    refuse_other_config(tmp_path, {"eps": float("nan")})
    refuse_other_config(tmp_path, {"eps": float("nan")})


def test_force_takes_the_folder_over(tmp_path):
    refuse_other_config(tmp_path, {"a": 1})
    refuse_other_config(tmp_path, {"a": 2}, force=True)
    refuse_other_config(tmp_path, {"a": 2})
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize("content", ["", "[1]", '{"a": '])
def test_a_damaged_config_is_refused_unless_forced(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        refuse_other_config(tmp_path, {"a": 1})
    refuse_other_config(tmp_path, {"a": 1}, force=True)
    refuse_other_config(tmp_path, {"a": 1})


def test_unwritable_and_full(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^cannot write into .*/x: not a directory$"):
        refuse_other_config(tmp_path / "file" / "x", {})
    with pytest.raises(InputError, match="a configuration holds what JSON can"):
        refuse_other_config(tmp_path, {"a": object()})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    refuse_other_config(tmp_path / "run", {"a": 1})
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"config\.json: the disk is full$"):
        refuse_other_config(tmp_path / "run", {"a": 2}, force=True)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"a": 1}
    assert os.listdir(tmp_path / "run") == ["config.json"]
