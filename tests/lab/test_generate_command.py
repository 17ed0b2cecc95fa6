"""Text from runs that the commands have trained, the target and a smaller draft."""

import subprocess
import sys

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import load
from jaxopt_lab.lab.commands import generate, train
from jaxopt_lab.lab.generation.generator import Generator

TEXT = "the cat sat on the mat. " * 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a transformer, and of a small one."""
    root = tmp_path_factory.mktemp("runs")
    (root / "text.txt").write_text(TEXT)
    common = ["task=text", f"data_dir={root / 'text.txt'}", "method=adam", "steps=60"]
    common += ["learning_rate=0.01", "curvature=off", "progress=off", "batch_size=8"]
    common += ["model.heads=1", "model.depth=1", "model.context=24"]
    for name, width in (("large", 16), ("small", 4)):
        words = [*common, f"model.width={width}", f"out={root / name}"]
        assert train.main(words) == 0
    return root


@pytest.mark.full
def test_decoders_give_the_text_of_whole_rows(runs, capsys):
    capsys.readouterr()
    run = load(runs / "large")
    tokens = [run.characters.index(c) for c in "the"]
    for _ in range(12):
        row = [tokens + [0] * (24 - len(tokens))]
        tokens.append(int(run.predict(row)[0, len(tokens) - 1]))
    wanted = "".join(run.characters[t] for t in tokens)
    words = [f"run={runs / 'large'}", "prompt=the", "tokens=12"]
    for decoder in ("greedy", "speculative", "sample"):
        more = [f"draft={runs / 'small'}"] if decoder == "speculative" else []
        more += ["top_k=1"] if decoder == "sample" else []
        assert generate.main([*words, f"decoder={decoder}", *more]) == 0
        said = capsys.readouterr()
        assert said.out == f"{wanted}\n"
        assert said.err.startswith("12 tokens, ") and " calls of the model" in said.err


@pytest.mark.full
def test_another_text_in_its_place_is_refused(runs, tmp_path):
    (tmp_path / "other.txt").write_text(TEXT.replace("m", "x"))
    moved = load(runs / "large", data_dir=str(tmp_path / "other.txt"))
    with pytest.raises(InputError, match="of other characters than the one at hand"):
        Generator(moved)


@pytest.mark.full
def test_a_pipe_gets_the_text_alone(runs):
    command = [sys.executable, "-m", "jaxopt_lab.lab.main", "generate"]
    command += [f"run={runs / 'large'}", "prompt=the cat", "tokens=5"]
    done = subprocess.run(
        command, capture_output=True, check=True, env={"PYTHONIOENCODING": "ascii"}
    )
    assert done.stdout.startswith(b"the cat") and len(done.stdout) == 13
    assert b"5 tokens, 5 steps" in done.stderr
