"""Run records for Weights & Biases and for MLflow."""

from __future__ import annotations

import abc
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.metrics import columns


class _Tracking(abc.ABC):
    """A sink of a package that has its own idea of a run."""

    package: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        resume_at: int = 0,
    ) -> None:
        place = Path(folder)
        name = place.resolve().name
        started = f"{name} from step {resume_at}" if resume_at else name
        try:
            self._package = importlib.import_module(self.package)
            self._open(place, started, dict(settings))
        except ModuleNotFoundError as error:
            if error.name == self.package:
                raise missing(self.package) from None
            # One of its own parts: our extra would bring it as well.
            raise InputError(
                f"{self.title} cannot be imported: {_line(error)}; pip install "
                f"'jaxopt_lab[{self.package}]'"
            ) from error
        except Exception as error:
            raise InputError(f"{self.title} refuses: {_line(error)}") from error

    @abc.abstractmethod
    def _open(self, folder: Path, started: str, settings: dict[str, Any]) -> None:
        """Begin a run there."""


class WeightsAndBiases(_Tracking):
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

    package, title = "wandb", "Weights & Biases"

    def _open(self, folder: Path, started: str, settings: dict[str, Any]) -> None:
        self._run = self._package.init(
            dir=str(folder),
            group=folder.resolve().name,
            name=started,
            config=settings,
        )

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


class MLflow(_Tracking):
    """Records for MLflow.

    Where they go is said as everywhere with it, by ``MLFLOW_TRACKING_URI`` and
    ``MLFLOW_EXPERIMENT_NAME``; MLflow 3 takes a folder, ``file:...``, only with
    ``MLFLOW_ALLOW_FILE_STORE=true``. Every start of a run is one run there, with the
    folder as a tag.

    Args:
      folder: of the run.
      settings: configuration of the run.
      resume_at: the step from which it goes on.

    Raises:
      InputError: mlflow is not installed, or refuses.
    """

    package, title = "mlflow", "MLflow"

    def _open(self, folder: Path, started: str, settings: dict[str, Any]) -> None:
        tags = {"folder": str(folder.resolve())}
        self._package.start_run(run_name=started, tags=tags)
        self._package.log_params(settings)

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Log the numbers of a record, ``kind/name``.

        Args:
          step: the step.
          record: what to write.
        """
        self._package.log_metrics(_tagged(record), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._package.end_run()


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _tagged(record: Mapping[str, Any]) -> dict[str, float]:
    kind = record.get("kind")
    found = columns({n: x for n, x in record.items() if n != "kind"})
    return {f"{kind}/{n}" if kind else n: float(x) for n, x in found.items()}
