"""Checkpoints keep everything, atomically, and say clearly what is wrong."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core import files
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import checkpoint_files, checkpoint_tree
from jaxopt_lab.runtime.checkpoints import Checkpoints
from jaxopt_lab.training.state import TrainState, init_state

MESH = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))


def spread(x, *spec):
    return jax.device_put(x, jax.NamedSharding(MESH, jax.P(*spec)))


def bits(x):
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    wide = checkpoint_tree.storage_dtype(x.dtype)
    return np.asarray(x.astype(wide)).tobytes()


def assert_same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    named = checkpoint_tree.named_leaves(expected)
    for (name, a), b in zip(named.items(), jax.tree.leaves(got), strict=True):
        assert type(a) is type(b), name
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        assert bits(a) == bits(b), name
        if isinstance(a, jax.Array):
            assert (a.sharding, a.committed) == (b.sharding, b.committed), name
            weak = [getattr(x, "weak_type", False) for x in (a, b)]
            assert weak[0] == weak[1], name


def rich_state():
    key = jax.random.key(7)
    params = {
        "dense": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.zeros(3)},
        "scale/odd": [jnp.float32(2.0)],
        "scale": {"odd": (jnp.float32(3.0),)},
    }
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.inject_hyperparams(optax.adam)(optax.linear_schedule(1.0, 0.0, 9)),
    )
    with jax.numpy_dtype_promotion("standard"):
        state = init_state(tx, params, key, {"stats": None, "none": {}, "no": ()})
    return state, {
        "weak": jnp.asarray(1.5),
        "weak seeds": jax.vmap(lambda _: jnp.asarray(0.5))(jnp.arange(3)),
        "key": jax.random.split(key, 4),
        "sharded keys": spread(jax.random.split(key, 8), "d"),
        "other key": jax.random.key(1, impl="rbg"),
        "no keys": key[None][:0],
        "zero": jnp.zeros((0, 3), jnp.bfloat16),
        "sharded": spread(jnp.arange(16, dtype=jnp.float32).reshape(8, 2), "d"),
        "sharded codes": spread(jnp.arange(8, dtype=jnp.uint4), "d"),
        "everywhere": spread(jnp.ones(3, jnp.int4)),
        "numpy": np.arange(3, dtype=np.int16),
        "number": np.float32(2.5),
        "nan": jnp.array([np.nan, -0.0, np.inf], jnp.float32),
        "deep": {"a": [({"b": jnp.array(True)},)]},
        "none": None,
    }


def save_one(folder, state, step=1, **kwargs):
    with Checkpoints(folder, **kwargs) as checkpoints:
        checkpoints.save(step, state, data={})


def corrupt(folder, how):
    paths = [p for p in (folder / "state").rglob("*") if p.is_file()]
    big = max(paths, key=lambda p: p.stat().st_size)
    if how == "truncated":
        big.write_bytes(big.read_bytes()[:-1])
    elif how == "one bit":
        content = bytearray(big.read_bytes())
        content[len(content) // 2] ^= 1
        big.write_bytes(bytes(content))
    elif how == "file deleted":
        big.unlink()
    elif how == "about deleted":
        (folder / "about.json").unlink()
    elif how == "about changed":
        about = folder / "about.json"
        about.write_text(about.read_text().replace('"epoch": 2', '"epoch": 3'))
    elif how == "empty":
        for path in [*paths, folder / "about.json"]:
            path.write_bytes(b"")


@pytest.mark.full
def test_round_trip_keeps_everything(tmp_path):
    state = rich_state()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.save(3, state, data={"epoch": 1, "at": [4, 5]})
        restored = checkpoints.restore(state)
    assert (restored.step, restored.data) == (3, {"epoch": 1, "at": [4, 5]})
    assert_same(restored.state, state)
    assert isinstance(restored.state[0], TrainState)


@pytest.mark.parametrize(
    "dtype",
    [
        "int2",
        "uint2",
        "int4",
        "uint4",
        pytest.param("float8_e3m4", marks=pytest.mark.full),
        pytest.param("float8_e4m3", marks=pytest.mark.full),
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3b11fnuz",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float4_e2m1fn",
        "bfloat16",
        "float16",
        "complex64",
        "uint8",
        "int64",
        "bool",
    ],
)
def test_every_type_in_all_its_values(dtype, tmp_path):
    dtype = jnp.dtype(dtype)
    if dtype.name in ("int2", "int4"):
        values = np.arange(-8, 8).astype(dtype)
    elif dtype.name in ("uint2", "uint4", "float4_e2m1fn") or dtype.itemsize > 2:
        values = np.arange(16).astype(np.float32).astype(dtype)
    elif dtype.kind == "b":
        values = np.array([True, False])
    elif dtype.itemsize == 2:
        values = np.arange(2**16, dtype=np.uint16).view(dtype)
    else:
        values = np.arange(2**8, dtype=np.uint8).view(dtype)
    state = {"x": jnp.array(values)}
    save_one(tmp_path, state)
    assert_same(Checkpoints(tmp_path).restore(state).state, state)


def test_abstract_template_names_the_types_and_the_devices(tmp_path):
    value = jnp.arange(16.0, dtype=jnp.float32).reshape(8, 2)
    save_one(tmp_path, {"a": value, "key": jax.random.key(0), "n": jnp.uint4(3)})
    across = jax.NamedSharding(MESH, jax.P("d"))
    alone = jax.NamedSharding(MESH, jax.P())
    template = {
        "a": jax.ShapeDtypeStruct((8, 2), jnp.float32, sharding=across),
        "key": jax.ShapeDtypeStruct((), jax.random.key(0).dtype, sharding=alone),
        "n": jax.ShapeDtypeStruct((), jnp.uint4),
    }
    state = Checkpoints(tmp_path).restore(template).state
    assert state["a"].sharding == across
    assert state["key"].sharding == alone
    assert not state["n"].committed
    np.testing.assert_array_equal(state["a"], value)
    assert bits(state["key"]) == bits(jax.random.key(0))


def test_names_only_the_paths_that_differ(tmp_path):
    save_one(tmp_path, {"a": jnp.ones(2), "b": {"c": jnp.ones(3)}, "old": jnp.ones(1)})
    template = {
        "a": jnp.ones(2),
        "b": {"c": jnp.ones(4, jnp.float32)},
        "new": jax.random.key(0),
    }
    with pytest.raises(InputError) as info:
        Checkpoints(tmp_path).restore(template)
    assert str(info.value) == (
        f"checkpoint 1 in {tmp_path} does not fit: b/c: expected float32[4], the "
        "checkpoint has float64[3]; new: not in the checkpoint (expected key<fry>[]); "
        "old: only in the checkpoint (float64[1])"
    )


def test_counts_the_differences_beyond_eight(tmp_path):
    save_one(tmp_path, {})
    template = {f"w{i}": jnp.ones(1) for i in range(11)}
    with pytest.raises(InputError, match=r"; w6: [^;]*; and 3 more$"):
        Checkpoints(tmp_path).restore(template)


def test_a_state_without_numbers(tmp_path):
    state = {"none": None, "empty": jnp.zeros((0, 2)), "more": {}}
    save_one(tmp_path, state)
    assert_same(Checkpoints(tmp_path).restore(state).state, state)


def test_a_mismatch_is_no_damage(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(2)}, data={})
        checkpoints.save(2, {"w": jnp.ones(3)}, data={})
        with pytest.raises(InputError, match="checkpoint 2 .* does not fit"):
            checkpoints.restore({"w": jnp.ones(2)})


@pytest.mark.full(plain=["about deleted", "about changed", "empty"])
@pytest.mark.parametrize(
    "how",
    ["truncated", "one bit", "file deleted", "about deleted", "about changed", "empty"],
)
def test_damaged_newest_falls_back(how, tmp_path):
    states = {i: {"w": jax.random.normal(jax.random.key(i), (200,))} for i in (1, 2)}
    with Checkpoints(tmp_path) as checkpoints:
        for step, state in states.items():
            checkpoints.save(step, state, data={"epoch": step})
    corrupt(tmp_path / "2", how)
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.warns(UserWarning, match="checkpoint 2 .* damaged .* checkpoint 1"):
            restored = checkpoints.restore(states[1])
        assert (restored.step, restored.data) == (1, {"epoch": 1})
        assert_same(restored.state, states[1])
        assert checkpoints.steps() == [1]
        # The run goes on from there and comes by the damaged step again.
        assert checkpoints.save(2, states[2], data={"epoch": 2})
        assert_same(checkpoints.restore(states[2]).state, states[2])
        assert checkpoints.steps() == [1, 2]
    assert (tmp_path / "2.unreadable").is_dir()


def test_no_readable_checkpoint(tmp_path):
    state = {"w": jnp.ones(3)}
    with pytest.raises(InputError, match="no checkpoint in"):
        Checkpoints(tmp_path).restore(state)
    save_one(tmp_path, state)
    with pytest.raises(InputError, match=r"no checkpoint of step 5 .*there are: 1$"):
        Checkpoints(tmp_path).restore(state, step=5)
    corrupt(tmp_path / "1", "truncated")
    for step in (None, 1):
        with pytest.raises(InputError, match=r"no readable checkpoint .*\(1: state/"):
            Checkpoints(tmp_path).restore(state, step=step)


def test_keeps_the_last_and_the_best(tmp_path):
    accuracy = [0.5, 0.9, 0.9, 0.6, float("nan"), 0.7, None, 0.2]
    options = {"keep": 2, "keep_best": 1, "best_metric": "accuracy"}
    for i, value in enumerate(accuracy):
        # A new manager for each: the metrics come from the folder.
        with Checkpoints(tmp_path, **options) as checkpoints:
            metrics = None if value is None else {"accuracy": value, "loss": 1.0}
            checkpoints.save(i, {"w": jnp.full(2, i)}, data={}, metrics=metrics)
            checkpoints.wait()
    assert checkpoints.steps() == [1, 6, 7]
    assert (checkpoints.best(), checkpoints.latest()) == (1, 7)
    assert int(checkpoints.restore({"w": jnp.full(2, 0)}, step=1).state["w"][0]) == 1


def test_best_by_the_smallest_and_by_the_mean_of_the_seeds(tmp_path):
    loss = [np.array([3.0, 3.0]), jnp.array([1.0, 2.0]), [1.9, 1.2], 4.0, 5.0]
    options = {"keep": 1, "best_metric": "loss", "best_mode": "min"}
    with Checkpoints(tmp_path, **options, keep_best=2) as checkpoints:
        for i, value in enumerate(loss):
            checkpoints.save(i, {"w": jnp.ones(1)}, data={}, metrics={"loss": value})
    assert checkpoints.steps() == [1, 2, 4]
    assert checkpoints.best() == 1


def test_a_saved_step_is_left_alone_unless_forced(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.save(1, {"w": jnp.ones(2)}, data={})
        assert not checkpoints.save(1, {"w": jnp.zeros(2)}, data={})
        assert float(checkpoints.restore({"w": jnp.ones(2)}).state["w"][0]) == 1
        assert checkpoints.save(1, {"w": jnp.zeros(2)}, data={}, force=True)
        assert float(checkpoints.restore({"w": jnp.ones(2)}).state["w"][0]) == 0
    assert sorted(os.listdir(tmp_path)) == ["1"]


def test_saved_buffers_may_be_donated_and_changed(tmp_path):
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    counter = np.zeros(3)
    position = {"next": [0]}
    state = {"w": jnp.zeros((300, 300)), "n": jnp.zeros((), jnp.int32)}
    with Checkpoints(tmp_path, keep=9) as checkpoints:
        for i in range(4):
            data = position
            checkpoints.save(i, {**state, "counter": counter}, data=data)
            state = step(state)
            counter += 1
            position["next"][0] += 1
        template = {**state, "counter": counter}
        for i in range(4):
            restored = checkpoints.restore(template, step=i)
            for leaf in jax.tree.leaves(restored.state):
                np.testing.assert_array_equal(leaf, np.full(leaf.shape, i))
            assert restored.data == {"next": [i]}


def test_synchronous_saves_are_complete_at_once(tmp_path):
    with Checkpoints(tmp_path, async_=False) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(2)}, data={})
        assert sorted(os.listdir(tmp_path)) == ["1"]


class Disk:
    """A disk on which files larger than a few kilobytes find no room."""

    def __enter__(self):
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, self.limits[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)


@pytest.mark.full(plain=["close"])
@pytest.mark.parametrize("surfaces", ["save", "wait", "close"])
def test_failed_save_surfaces_and_loses_nothing(surfaces, tmp_path, capfd):
    small = {"w": jnp.ones(4)}
    big = {f"w{i}": jax.random.normal(jax.random.key(i), (80, 80)) for i in range(8)}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, small, data={})
    checkpoints.wait()
    with Disk():
        checkpoints.save(2, big, data={})
        message = (
            rf"^saving checkpoint 2 in {tmp_path} failed: file too large; "
            r"checkpoint 1 is whole$"
        )
        with pytest.raises(InputError, match=message):
            if surfaces == "save":
                checkpoints.save(3, small, data={})
            else:
                getattr(checkpoints, surfaces)()
    assert os.listdir(tmp_path) == ["1"]
    checkpoints.wait()
    assert_same(checkpoints.restore(small).state, small)
    checkpoints.save(2, big, data={})
    checkpoints.close()
    assert_same(checkpoints.restore(big).state, big)
    assert capfd.readouterr().err == ""


@pytest.mark.full
def test_failed_replacement_keeps_the_old_one(tmp_path):
    small = {"w": jnp.ones(4)}
    big = {"w": jax.random.normal(jax.random.key(0), (200, 200))}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, small, data={})
        with Disk(), pytest.raises(InputError, match="checkpoint 1 is whole"):
            checkpoints.save(1, big, data={}, force=True)
            checkpoints.wait()
        assert_same(checkpoints.restore(small).state, small)


@pytest.mark.full
def test_full_disk_is_called_so(tmp_path, monkeypatch):
    def full(folder, about):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoint_files, "write_about", full)
        checkpoints.save(1, {"w": jnp.ones(4)}, data={})
        with pytest.raises(InputError, match="the disk is full; no checkpoint yet"):
            checkpoints.wait()
    assert os.listdir(tmp_path) == []


@pytest.mark.full
def test_an_error_of_the_run_is_not_hidden_by_a_failed_save(tmp_path, monkeypatch):
    def full(folder, about):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "write_about", full)
    with (
        pytest.warns(UserWarning, match="the disk is full"),
        pytest.raises(KeyError),
        Checkpoints(tmp_path) as checkpoints,
    ):
        checkpoints.save(1, {"w": jnp.ones(4)}, data={})
        raise KeyError("the run's own")


def test_unwritable_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^cannot write into .*/file/x: not a direc"):
        Checkpoints(tmp_path / "file" / "x")
    with pytest.raises(InputError, match=r"^cannot write into .*/file: file exists"):
        Checkpoints(tmp_path / "file")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"^cannot write into .*: permission denied$"):
        Checkpoints(tmp_path)


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="keep must be at least 1"):
        Checkpoints(tmp_path, keep=0)
    with pytest.raises(InputError, match="best_mode must be 'max' or 'min'; got 'up'"):
        Checkpoints(tmp_path, best_mode="up")  # pyright: ignore
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(InputError, match="a/1 is the float 2.0"):
            checkpoints.save(1, {"a": [jnp.ones(1), 2.0]}, data={})
        with pytest.raises(InputError, match="JSON"):
            checkpoints.save(1, {}, data={"at": jnp.ones(1)})
        with pytest.raises(InputError, match="metrics must be numbers"):
            checkpoints.save(1, {}, data={}, metrics={"accuracy": "high"})
        with pytest.raises(InputError, match="at least 0"):
            checkpoints.save(-1, {}, data={})
    assert checkpoints.steps() == []


def test_readers_leave_the_folder_alone(tmp_path):
    save_one(tmp_path, {"w": jnp.ones(2)})
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    reader = Checkpoints(tmp_path, read_only=True)
    assert reader.restore({"w": jnp.ones(2)}).step == 1
    with pytest.raises(InputError, match="read-only"):
        reader.save(5, {}, data={})
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before
    assert Checkpoints(tmp_path / "none", read_only=True).latest() is None
    assert not (tmp_path / "none").exists()


def test_leftovers_are_cleaned_at_the_next_start(tmp_path):
    save_one(tmp_path, {"w": jnp.ones(2)})
    (tmp_path / "2.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    (tmp_path / "1").rename(tmp_path / "1.replaced")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]
        assert os.listdir(tmp_path) == ["1"]


SAVE_FOREVER = """
import sys, itertools
import jax, jax.numpy as jnp
from jaxopt_lab.runtime.checkpoints import Checkpoints

state = {f"w{i}": jnp.zeros((500, 500), jnp.float32) for i in range(4)}
with Checkpoints(sys.argv[1], keep=2) as checkpoints:
    for step in itertools.count(1):
        state = jax.tree.map(lambda x: x + 1, state)
        checkpoints.save(step, state, data={"step": step})
"""


@pytest.mark.full(plain=["0.0"])
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_kill_during_a_save_loses_only_that_save(delay, tmp_path):
    program = [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)]
    process = subprocess.Popen(program, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 120
    try:
        while not (
            (tmp_path / "4").exists() and list(tmp_path.glob("*.orbax-checkpoint-tmp"))
        ):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(delay)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    complete = [int(p.name) for p in tmp_path.iterdir() if p.name.isdecimal()]
    template = {f"w{i}": jnp.zeros((500, 500), jnp.float32) for i in range(4)}
    with warnings.catch_warnings(), Checkpoints(tmp_path) as checkpoints:
        warnings.simplefilter("error")
        restored = checkpoints.restore(template)
        assert restored.step == max(complete)
        assert restored.data == {"step": restored.step}
        for leaf in jax.tree.leaves(restored.state):
            np.testing.assert_array_equal(leaf, np.full((500, 500), restored.step))
        checkpoints.save(restored.step + 1, restored.state, data={})
    assert not list(tmp_path.glob("*tmp*"))


def test_about_is_readable_by_a_person(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": {"w": jnp.ones(2)}}, data={"epoch": 1}, metrics={})
    body = json.loads((tmp_path / "1" / "about.json").read_text())["body"]
    assert body["leaves"] == {"a/w": [[2], "float64"]}
    assert body["data"] == {"epoch": 1}
