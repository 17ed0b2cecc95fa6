"""Checkpoints: asynchronous, atomic, and verified when read."""

from __future__ import annotations

import contextlib
import json
import os
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.runtime import checkpoint_files as files
from jaxopt_lab.runtime import checkpoint_tree as flat
from jaxopt_lab.runtime.checkpoint_retention import Retention
from jaxopt_lab.runtime.folder_lock import FolderLock


class Restored(NamedTuple):
    """Result of ``Checkpoints.restore``.

    Attributes:
      step: the step at which the state was saved.
      state: the state, in the containers and types of the template.
      data: the position in the data that was saved with it.
    """

    step: int
    state: Any
    data: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in one folder.

    Saving copies the arrays to the host and returns; a thread writes them under
    another name, adds checksums, and renames the folder as the last act. So a
    checkpoint is complete or absent, whatever ends the process, and the saved
    buffers may be donated as soon as ``save`` returns. A save that fails in the
    background is reported by the next ``save``, ``wait`` or ``close``.

    Args:
      folder: their folder; created if missing.
      keep: number of newest ones that are kept.
      keep_best: number of best ones that are kept in addition.
      best_metric: entry of ``metrics`` that ranks them (``"accuracy"``); ``None``:
        no ranking. Of equal ones the earliest is best.
      best_mode: ``"max"`` or ``"min"``.
      async_: write in the background; otherwise ``save`` returns when all is done.
      read_only: only list and restore; any number of processes may do so while one
        process writes.

    Raises:
      InputError: the folder cannot be written, another process writes into it, or an
        option is out of range.

    >>> import jax.numpy as jnp, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as kept:
    ...     _ = kept.save(10, {"w": jnp.ones(3)}, data={"epoch": 1})
    ...     restored = kept.restore({"w": jax.ShapeDtypeStruct((3,), "float32")})
    >>> restored.step, restored.data, float(restored.state["w"].sum())
    (10, {'epoch': 1}, 3.0)

    Memory: one copy of the state on the host while it is written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 3,
        keep_best: int = 1,
        best_metric: str | None = None,
        best_mode: Literal["max", "min"] = "max",
        async_: bool = True,
        read_only: bool = False,
    ):
        self.folder = Path(folder).absolute()
        self.retention = Retention(self.folder, keep, keep_best, best_metric, best_mode)
        self._async, self._read_only = async_, read_only
        self._manager: Any = None
        self._quiet = contextlib.ExitStack()
        self._saving: tuple[int, files.About] | None = None
        self._unreadable: set[int] = set()
        self._lock: FolderLock | None = None
        if not read_only:
            make_writable(self.folder)
            if jax.process_index() == 0:
                # Cleaning would remove what another process has not finished.
                self._lock = FolderLock(self.folder)
                if not self._lock.shared:
                    files.clean(self.folder)

    def save(
        self,
        step: int,
        state: PyTree,
        *,
        data: Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> bool:
        """Save a state; waits first for the save before it, if that still runs.

        Args:
          step: number of the step, at least 0.
          state: tree of arrays and typed keys, on any devices.
          data: position in the data and whatever else goes with the state; anything
            that JSON can hold (tuples come back as lists).
          metrics: numbers, or one number for each seed, whose mean then counts.
          force: replace a checkpoint of the same step; it is kept until the new one
            is complete.

        Returns:
          Whether a save was begun; ``False`` where the step is already saved.

        Raises:
          InputError: this save cannot begin, or the one before it has failed. The
            checkpoints that were complete stay as they are.
        """
        if self._read_only:
            raise InputError(f"the checkpoints in {self.folder} were opened read-only")
        if step < 0:
            raise InputError(f"a step is at least 0; got {step}")
        self.wait()
        there = step in self.steps()
        if there and not force:
            return False
        about = files.About(
            flat.describe(state), _as_json(data), _numbers(metrics or {}), {}
        )
        self._put_aside(step if there else None)
        try:
            import orbax.checkpoint as ocp

            manager = self._open()
            self._saving = (step, about)
            self.retention.add(step, about.metrics)
            arguments = ocp.args.PyTreeSave(flat.to_store(state))
            manager.save(step, args=ocp.args.Composite(state=arguments), force=True)
        except Exception as error:
            self._fail(step, error)
        if not self._async:
            self.wait()
        return True

    def restore(self, template: PyTree, step: int | None = None) -> Restored:
        """Read a checkpoint back.

        Args:
          template: arrays like those wanted, or
            ``jax.ShapeDtypeStruct`` with the shardings that are wanted, which need
            not be those of the saving run.
          step: which one; ``None`` takes the newest whose files are whole.

        Returns:
          The state in the containers, types and shardings of the template, with its
          step and data. A template without sharding gives arrays bound to no device.

        Raises:
          InputError: there is none, none is whole, or the template differs from what
            was saved: the differing paths are named.

        Warns:
          UserWarning: the newest was damaged and an older one is taken.
        """
        self.wait()
        expected = flat.describe(template)
        steps = self.steps()
        if step is not None and step not in steps:
            listed = ", ".join(map(str, steps)) or "none"
            raise InputError(
                f"no checkpoint of step {step} in {self.folder}; there are: {listed}"
            )
        if not steps:
            raise InputError(f"no checkpoint in {self.folder}")
        broken: dict[int, str] = {}
        for candidate in [step] if step is not None else reversed(steps):
            try:
                about = files.read_about(self.folder / str(candidate))
                if lines := flat.mismatches(expected, about.leaves):
                    raise InputError(
                        f"checkpoint {candidate} in {self.folder} does not fit: {lines}"
                    )
                files.verify(self.folder / str(candidate), about)
            except files.UnreadableError as error:
                broken[candidate] = str(error)
                continue
            try:
                state = self._read(candidate, template)
            except InputError:
                if (self.folder / str(candidate)).exists():
                    raise
                # The process that writes has removed it in the meantime.
                broken[candidate] = "it was removed"
                continue
            self._unreadable |= set(broken)
            for number, why in broken.items():
                warnings.warn(
                    f"checkpoint {number} in {self.folder} is damaged ({why}); "
                    f"taking checkpoint {candidate} instead",
                    stacklevel=2,
                )
            return Restored(candidate, state, about.data)
        listed = "; ".join(f"{number}: {why}" for number, why in broken.items())
        raise InputError(f"no readable checkpoint in {self.folder} ({listed})")

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints.

        Returns:
          Sorted steps, without those that ``restore`` found to be damaged.
        """
        there = files.complete_steps(self.folder)
        return [step for step in there if step not in self._unreadable]

    def latest(self) -> int | None:
        """The newest complete checkpoint.

        Returns:
          Its step, or ``None``.
        """
        return max(self.steps(), default=None)

    def best(self) -> int | None:
        """The complete checkpoint with the best metric.

        Returns:
          Its step, or ``None`` where none has the metric.
        """
        return next(iter(self.retention.ranked(self.steps())), None)

    def score(self, metrics: Mapping[str, Any]) -> float | None:
        """The number by which checkpoints are ranked, larger for better ones.

        Args:
          metrics: as for ``save``.

        Returns:
          It; ``None`` without a ranking, or where the metric is missing or NaN.
        """
        return self.retention.score(_numbers(metrics))

    def wait(self) -> None:
        """Wait until the running save is complete.

        Raises:
          InputError: it failed, for the reason that the message gives.
        """
        if self._saving is None:
            return
        step, _ = self._saving
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            self._fail(step, error)
        self._saving = None
        if jax.process_index() == 0:
            files.clean(self.folder)

    def close(self) -> None:
        """Wait for the running save and end the threads.

        Raises:
          InputError: that save failed.
        """
        try:
            self.wait()
        finally:
            self._shut()
            self._quiet.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        try:
            self.close()
        except InputError as failed:
            if error is None:
                raise
            # This error must not hide the one that ends the run.
            warnings.warn(str(failed), stacklevel=2)

    def _open(self) -> Any:
        if self._manager is None:
            import orbax.checkpoint as ocp

            files.quiet_orbax()
            # Kept until the end: the last tracebacks come after the failure itself.
            self._quiet.close()
            self._quiet.enter_context(files.quiet_failed_writes())
            self._manager = ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(
                    create=False,
                    save_root_metadata=False,
                    lightweight_initialize=True,
                    preservation_policy=self.retention,
                    async_options=ocp.AsyncOptions(
                        post_finalization_callback=self._finish,
                        # Otherwise threads, and with them the end of the process, wait
                        # five minutes for a folder that could not be made.
                        create_directories_asynchronously=False,
                    ),
                ),
            )
        return self._manager

    def _finish(self) -> None:
        # Runs in orbax's thread after the arrays are written and before the folder gets
        # its final name, so the checksums are part of the atomic rename.
        if self._saving is not None and jax.process_index() == 0:
            step, about = self._saving
            files.write_about(files.unfinished(self.folder, step), about)

    def _read(self, step: int, template: PyTree) -> PyTree:
        import orbax.checkpoint as ocp

        # The files were verified, so a failure here is no damage of theirs.
        files.quiet_orbax()
        arguments = ocp.args.PyTreeRestore(restore_args=flat.restore_args(template))
        handler = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
        try:
            with handler:
                store = handler.restore(self.folder / str(step) / "state", arguments)
            return flat.from_store(template, store)
        except Exception as error:
            raise InputError(
                f"cannot restore checkpoint {step} in {self.folder}: "
                f"{files.reason(error)}"
            ) from error

    def _put_aside(self, replaced: int | None) -> None:
        if jax.process_index() == 0:
            for step in self._unreadable:
                files.put_aside(self.folder, step, unreadable=True)
            if replaced is not None:
                files.put_aside(self.folder, replaced, unreadable=False)
        if self._unreadable or replaced is not None:
            self.retention.forget(self._unreadable)
            self._unreadable.clear()
            self._shut()  # orbax caches the steps that it has seen

    def _fail(self, step: int, error: Exception) -> None:
        self._saving = None
        self.retention.forget([step])
        self._shut()
        files.drop_failed_writes(error)
        if jax.process_index() == 0:
            with contextlib.suppress(OSError):
                files.clean(self.folder)
        latest = self.latest()
        left = (
            "no checkpoint yet" if latest is None else f"checkpoint {latest} is whole"
        )
        raise InputError(
            f"saving checkpoint {step} in {self.folder} failed: "
            f"{files.reason(error)}; {left}"
        ) from None

    def _shut(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            # A failed save was reported already; closing would raise it again.
            with contextlib.suppress(Exception):
                manager.close()


def _as_json(data: Mapping[str, Any]) -> dict[str, Any]:
    # Round trip through text: a copy that later changes by the caller do not affect.
    try:
        return json.loads(json.dumps(dict(data)))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"data must be what JSON can hold (numbers, text, lists, dicts): {error}"
        ) from None


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    try:
        return {k: float(np.mean(np.asarray(v, float))) for k, v in metrics.items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"metrics must be numbers: {error}") from None
