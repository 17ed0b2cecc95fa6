"""Records survive what runs go through."""

import errno
import json
import math
import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.metrics import (
    JsonLines,
    TensorBoard,
    read_metrics,
    write_atomically,
)


def written(path, records, **kwargs):
    sink = JsonLines(path, **kwargs)
    for step, record in records:
        sink.write(step, record)
    sink.close()
    return path


def test_every_line_is_plain_json_and_comes_back(tmp_path):
    record = {
        "kind": "train",
        "loss": np.array([0.1, math.nan, math.inf, -math.inf]),
        "rate": np.float32(0.1),
        "half": jnp.bfloat16(0.1),
        "wide": np.float64(1 / 3),
        "number": 1 / 3,
        "grid": jnp.arange(4, dtype=jnp.float32).reshape(2, 2) / 10,
        "count": jnp.int32(7),
        "on": True,
        "none": None,
    }
    path = written(tmp_path / "new" / "m.jsonl", [(50, record)])
    (line,) = path.read_text().splitlines()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    raw = json.loads(line, parse_constant=refuse)
    assert raw["loss"] == [0.1, "NaN", "Infinity", "-Infinity"]
    (back,) = read_metrics(path)
    np.testing.assert_array_equal(back.pop("loss"), record["loss"])
    assert back == {
        "step": 50,
        "kind": "train",
        "rate": 0.1,
        "half": 0.100098,
        "wide": 1 / 3,
        "number": 1 / 3,
        "grid": [[0.0, 0.1], [0.2, 0.3]],
        "count": 7,
        "on": True,
        "none": None,
    }


def test_short_digits_give_the_same_float32(tmp_path):
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    path = written(tmp_path / "m", [(1, {"x": values})])
    back = np.array(read_metrics(path)[0]["x"], np.float32)
    assert back.tobytes() == values.tobytes()


def test_lines_are_there_before_the_file_is_closed(tmp_path):
    sink = JsonLines(tmp_path / "m")
    sink.write(1, {"loss": 1.0})
    assert read_metrics(tmp_path / "m") == [{"step": 1, "loss": 1.0}]
    sink.close()
    sink.close()


def test_resuming_drops_later_lines_and_half_a_line(tmp_path):
    path = written(tmp_path / "m", [(i, {"loss": float(i)}) for i in (10, 20, 30)])
    with path.open("a") as file:
        file.write('{"step": 40, "lo')
    assert [r["step"] for r in read_metrics(path)] == [10, 20, 30]
    written(path, [(21, {"loss": 0.0})], resume_at=20)
    assert [r["step"] for r in read_metrics(path)] == [10, 20, 21]
    assert os.listdir(tmp_path) == ["m"]


def test_without_resume_at_only_half_a_line_goes(tmp_path):
    path = written(tmp_path / "m", [(10, {}), (20, {})])
    with path.open("a") as file:
        file.write('{"step": 30')
    written(path, [(5, {})])
    assert [r["step"] for r in read_metrics(path)] == [10, 20, 5]


def test_truncation_keeps_the_old_file_until_the_new_one_is_whole(
    tmp_path, monkeypatch
):
    path = written(tmp_path / "m", [(10, {}), (20, {})])
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=rf"^cannot write {path}: the disk is full$"):
        JsonLines(path, resume_at=10)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"loss": 1.0}', '{"step": "x"}'])
def test_a_spoilt_line_is_named(line, tmp_path):
    path = tmp_path / "m"
    path.write_text('{"step": 1}\n' + line + '\n{"step": 2}\n')
    for read in (read_metrics, lambda p: JsonLines(p, resume_at=1)):
        with pytest.raises(InputError, match=rf"{path}: line 2 is no record"):
            read(path)


def test_full_disk_and_closed_folder(tmp_path):
    with pytest.raises(InputError, match=r"^cannot write into .*/file: file exists$"):
        (tmp_path / "file").write_text("")
        JsonLines(tmp_path / "file" / "m")
    with pytest.raises(InputError, match="^cannot write .*: is a directory$"):
        (tmp_path / "folder").mkdir()
        JsonLines(tmp_path / "folder")
    with pytest.raises(InputError, match=r"cannot read .*: no such file or directory"):
        read_metrics(tmp_path / "none")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line():
    sink = JsonLines.__new__(JsonLines)
    from pathlib import Path

    sink.path = Path("/dev/full")
    sink._file = open("/dev/full", "a", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(InputError, match="^cannot write /dev/full: the disk is full$"):
        sink.write(1, {"loss": 1.0})
    sink.close()


def test_what_is_no_number_is_named(tmp_path):
    sink = JsonLines(tmp_path / "m")
    with pytest.raises(InputError, match="model is of type object"):
        sink.write(1, {"model": object()})
    sink.close()
    assert read_metrics(tmp_path / "m") == []


def test_write_atomically_gives_ordinary_permissions(tmp_path):
    write_atomically(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_resumed_run_has_the_events_of_an_uninterrupted_one(tmp_path):
    loading = pytest.importorskip(
        "tensorboardX.event_file_writer", exc_type=ImportError
    )
    from tensorboardX.proto.event_pb2 import Event

    from jaxopt_lab.runtime.event_files import PATTERN, _records

    assert loading is not None

    def steps():
        found = []
        for path in sorted(tmp_path.glob(PATTERN)):
            for _, data in _records(path.read_bytes()):
                event = Event()
                event.ParseFromString(data)
                found += [event.step] * event.HasField("summary")
        return found

    for start, last in ((0, 4), (2, 5)):
        sink = TensorBoard(tmp_path, resume_at=start)
        for step in range(start + 1, last + 1):
            sink.write(step, {"kind": "train", "loss": 0.5})
        sink.close()
        path = max(tmp_path.glob(PATTERN), key=lambda p: p.stat().st_mtime_ns)
        with path.open("ab") as file:  # killed in the middle of a record
            file.write(b"\x99\0\0")
    assert steps() == [1, 2, 3, 4, 5]
    assert len(list(tmp_path.iterdir())) == 2


class Recorded:
    def __init__(self, folder, filename_suffix):
        self.scalars = []

    def add_scalar(self, *args):
        self.scalars.append(args)

    def close(self):
        self.scalars.append("closed")


def test_tensorboard_gets_scalars_by_kind_and_seed(tmp_path, monkeypatch):
    fake = type(sys)("tensorboardX")
    fake.SummaryWriter = Recorded  # pyright: ignore
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    sink = TensorBoard(tmp_path / "tb")
    sink.write(3, {"kind": "train", "loss": np.array([1.0, 2.0]), "rate": 0.5})
    sink.close()
    assert sink._writer.scalars == [
        ("train/loss/seed0", 1.0, 3),
        ("train/loss/seed1", 2.0, 3),
        ("train/rate", 0.5, 3),
        "closed",
    ]


def test_tensorboard_writes_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    sink = TensorBoard(tmp_path)
    sink.write(1, {"kind": "train", "loss": 0.5})
    sink.close()
    assert any("tfevents" in name for name in os.listdir(tmp_path))


def test_missing_tensorboard_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'jaxopt_lab\[log\]'"):
        TensorBoard(tmp_path)
