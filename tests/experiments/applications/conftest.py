"""The smoke test that every application has."""

import dataclasses
import json

import jax
import pytest

from experiments.applications.application import compiled_quickly
from experiments.harness.report import plain
from experiments.harness.store import Store


@pytest.fixture
def smoke(tmp_path, capsys):
    """``smoke(application, settings, **texts)`` runs it, and measures once more.

    The results must be equal; the files of the first run are looked at.
    """

    def run(application, settings, **texts):
        # As in the command: the suite runs in float64 and forbids rank promotion.
        with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
            folder = tmp_path / "one"
            first = application.run(settings, folder, quick=True, **texts)
            again, options = application.prepare(settings, **texts)
            store = Store(tmp_path / "two", dataclasses.asdict(again))
            # As the first run: its programs are found, and not compiled once more.
            with compiled_quickly():
                second = application.measure(again, store, **options)
        (figure,) = folder.glob("*.png")
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert "━" in capsys.readouterr().out, "no table was printed"
        record = json.loads((folder / "results.json").read_text())
        assert record["settings"] == json.loads(json.dumps(dataclasses.asdict(again)))
        one, two = (json.dumps(plain(m)) for m in (first.measured, second))
        assert one == two, "two runs with the same seed differ"
        return record

    return run
