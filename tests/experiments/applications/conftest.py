"""The smoke test that every application has."""

import dataclasses
import json

import jax
import pytest


@pytest.fixture
def smoke(tmp_path, capsys):
    """``smoke(application, settings, **texts)`` runs it twice and checks its files."""

    def run(application, settings, **texts):
        records = []
        # As in the command: the suite runs in float64 and forbids rank promotion.
        with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
            for name in ("one", "two"):
                folder = tmp_path / name
                application.run(settings, folder, quick=True, **texts)
                records.append(json.loads((folder / "results.json").read_text()))
                (figure,) = folder.glob("*.png")
                assert figure.read_bytes().startswith(b"\x89PNG")
        assert "━" in capsys.readouterr().out, "no table was printed"
        for record in records:
            assert record["settings"] == json.loads(
                json.dumps(dataclasses.asdict(settings))
            )
            del record["processor_seconds"]
        assert records[0] == records[1], "two runs with the same seed differ"
        return records[0]

    return run
