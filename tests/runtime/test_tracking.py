"""Weights & Biases and MLflow, by stand-ins of the same calls."""

import sys
import types

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.tracking import MLflow, WeightsAndBiases

RECORD = {"kind": "test", "accuracy": np.array([0.5, 1.0]), "time": 2.0, "note": "x"}
TAGGED = {"test/accuracy/seed0": 0.5, "test/accuracy/seed1": 1.0, "test/time": 2.0}


class StandIn(types.ModuleType):
    """A module that notes every call of its functions, and of what they return."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []

    def __getattr__(self, name):
        def called(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return called


@pytest.mark.parametrize("resume_at", [0, 5])
def test_weights_and_biases_get_the_numbers(tmp_path, monkeypatch, resume_at):
    fake = StandIn("wandb")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    sink = WeightsAndBiases(tmp_path / "demo", {"rho": 0.1}, resume_at=resume_at)
    sink.write(3, RECORD)
    sink.close()
    init, log, finish = fake.calls
    name = "demo from step 5" if resume_at else "demo"
    assert init[2]["name"] == name and init[2]["group"] == "demo"
    assert init[2]["config"] == {"rho": 0.1}
    assert log == ("log", (TAGGED,), {"step": 3}) and finish[0] == "finish"


def test_mlflow_gets_the_numbers(tmp_path, monkeypatch):
    fake = StandIn("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    sink = MLflow(tmp_path / "demo", {"rho": 0.1})
    sink.write(3, RECORD)
    sink.close()
    assert [call[0] for call in fake.calls] == [
        "start_run",
        "log_params",
        "log_metrics",
        "end_run",
    ]
    assert fake.calls[0][2]["run_name"] == "demo"
    assert fake.calls[1][1] == ({"rho": 0.1},)
    assert fake.calls[2][1:] == ((TAGGED,), {"step": 3})


@pytest.mark.parametrize(
    "kind, name", [(WeightsAndBiases, "wandb"), (MLflow, "mlflow")]
)
def test_what_is_missing_or_refuses_is_one_line(kind, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as refused:
        kind(tmp_path, {})
    assert str(refused.value).endswith(f"pip install 'jaxopt_lab[{name}]'")

    class Refuses:
        def __getattr__(self, name):
            raise RuntimeError("no key\nlog in")

    monkeypatch.setitem(sys.modules, name, Refuses())
    with pytest.raises(InputError, match="refuses: no key log in"):
        kind(tmp_path, {})


def test_a_package_that_misses_a_part_says_which(tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text("import no_such_part\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(InputError, match="imported: No module named 'no_such_part'"):
        WeightsAndBiases(tmp_path / "run", {})


@pytest.mark.full
def test_the_real_weights_and_biases_writes_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "demo"
    folder.mkdir()
    for start in (0, 3):
        sink = WeightsAndBiases(folder, {"rho": 0.1, "out": ""}, resume_at=start)
        sink.write(start + 3, RECORD)
        sink.close()
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    assert all(b"test/accuracy/seed0" in file.read_bytes() for file in files)


@pytest.mark.full
def test_the_real_mlflow_writes_into_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "kept").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "kept").as_uri())
    # A run of the lab has more settings than one call takes.
    settings = {f"option{i}": i for i in range(150)} | {"long": "x" * 9000}
    for start in (0, 3):
        sink = MLflow(tmp_path / "demo", settings, resume_at=start)
        sink.write(start + 3, RECORD)
        sink.close()
    runs = mlflow.search_runs(output_format="list")
    assert sorted(run.info.run_name for run in runs) == ["demo", "demo from step 3"]
    for run in runs:
        found = {n.rpartition("/")[2]: v for n, v in run.data.metrics.items()}
        assert found == {"seed0": 0.5, "seed1": 1.0, "time": 2.0}
        assert run.data.params["option149"] == "149"
