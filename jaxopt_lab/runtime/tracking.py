"""Run records for Weights & Biases and for MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.metrics import columns


class WeightsAndBiases:
    """Records for Weights & Biases.

    Where they go, and whether they go at all, is said as everywhere with it: by
    ``wandb login`` and its environment variables (``WANDB_PROJECT``,
    ``WANDB_MODE=offline``). Every start of a run is one run there; those of one folder
    are a group, in which steps that are taken again occur again.

    Args:
      folder: of the run; its name is that of the group.
      settings: configuration of the run.
      resume_at: the step from which it goes on.

    Raises:
      InputError: wandb is not installed, or refuses.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        resume_at: int = 0,
    ) -> None:
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise missing("wandb") from None
        name = Path(folder).resolve().name
        try:
            self._run = wandb.init(
                dir=str(folder),
                group=name,
                name=_started(name, resume_at),
                config=dict(settings),
            )
        except Exception as error:
            raise InputError(f"Weights & Biases refuses: {_line(error)}") from error

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Log the numbers of a record, ``kind/name``.

        Args:
          step: the step.
          record: what to write.
        """
        self._run.log(_tagged(record), step=step)

    def close(self) -> None:
        """Finish the run; what is still on its way is sent."""
        self._run.finish()


class MLflow:
    """Records for MLflow.

    Where they go is said as everywhere with it, by ``MLFLOW_TRACKING_URI`` and
    ``MLFLOW_EXPERIMENT_NAME``. Every start of a run is one run there, with the folder
    as a tag.

    Args:
      folder: of the run.
      settings: configuration of the run.
      resume_at: the step from which it goes on.

    Raises:
      InputError: mlflow is not installed, or refuses.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        resume_at: int = 0,
    ) -> None:
        try:
            import mlflow  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise missing("mlflow") from None
        place = Path(folder).resolve()
        try:
            mlflow.start_run(
                run_name=_started(place.name, resume_at), tags={"folder": str(place)}
            )
            mlflow.log_params(dict(settings))
        except Exception as error:
            raise InputError(f"MLflow refuses: {_line(error)}") from error
        self._mlflow = mlflow

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Log the numbers of a record, ``kind/name``.

        Args:
          step: the step.
          record: what to write.
        """
        self._mlflow.log_metrics(_tagged(record), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._mlflow.end_run()


def missing(extra: str) -> InputError:
    """The error of a package that is not installed.

    Args:
      extra: the package, and the extra of ours that brings it.

    Returns:
      The error, with the command that installs it.

    >>> str(missing("wandb"))
    "wandb is not installed: pip install 'jaxopt_lab[wandb]'"
    """
    return InputError(f"{extra} is not installed: pip install 'jaxopt_lab[{extra}]'")


def _started(name: str, resume_at: int) -> str:
    return f"{name} from step {resume_at}" if resume_at else name


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _tagged(record: Mapping[str, Any]) -> dict[str, float]:
    kind = record.get("kind")
    found = columns({n: x for n, x in record.items() if n != "kind"})
    return {f"{kind}/{n}" if kind else n: float(x) for n, x in found.items()}
