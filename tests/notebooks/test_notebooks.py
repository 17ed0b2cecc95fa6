"""Every percent script runs, and the notebook beside it has the same cells."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 2_000_000  # bytes of a notebook, its figures included


def cells(path):
    jupytext = pytest.importorskip("jupytext")
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def test_scripts_and_notebooks_come_in_pairs():
    assert SCRIPTS
    assert [p.stem for p in SCRIPTS] == [p.stem for p in NOTEBOOKS]


@pytest.mark.full
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_with_small_settings(path, tmp_path):
    # A process of its own: 32 bits and one device, as a reader has them.
    env = os.environ | {
        "SMALL": "1",
        "XLA_FLAGS": "",
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, "-W", "error::RuntimeWarning", str(path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(tmp_path.iterdir()), "a notebook must not write into the folder"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_notebook_has_the_cells_of_the_script(path):
    beside = path.with_suffix(".ipynb")
    rebuild = f"jupytext --to ipynb --execute notebooks/{path.name}"
    assert cells(beside) == cells(path), f"out of date; rebuild it with: {rebuild}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_was_executed_without_an_error(path):
    jupytext = pytest.importorskip("jupytext")
    code = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1)), "not executed from top to bottom"
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs and not [o for o in outputs if o.output_type == "error"]
    # Warnings and paths of the machine that made it do not belong to a reader.
    streams = [o for o in outputs if o.output_type == "stream"]
    assert not [o for o in streams if o.name == "stderr"]
    assert path.stat().st_size < LARGEST


def test_a_changed_cell_is_seen(tmp_path):
    source = SCRIPTS[0].read_text()
    changed = tmp_path / SCRIPTS[0].name
    changed.write_text(source.replace("import", "import  ", 1))
    assert cells(changed) != cells(SCRIPTS[0])
