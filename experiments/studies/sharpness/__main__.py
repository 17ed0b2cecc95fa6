"""What sharpness-aware methods are said to do, measured.

    python -m experiments.studies.sharpness quick|full [out=FOLDER] [fashion=FOLDER]
        [only=PANEL,...] [first_seed=N]

quick: 3 seeds and 12 rows, one to two minutes on one core. full: 5 to 10 seeds and all
rows, 20 to 40 minutes on one core, depending on what else runs. Each row of a panel
is written to OUT/PANEL.json when it is ready, and the same command goes on from there.
fashion=FOLDER names the IDX files of Fashion-MNIST, or the folder of prepared TFDS
sets; without it the panel with the convolutional network is left out. Panels: digits,
digits-40-percent-wrong, fashion, and in full digits-20-percent-wrong.

Intervals are over seeds and know nothing of the number of claims. Rows that tune a
radius keep one step size; plain SGD tunes its step size.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.studies.sharpness import claims, columns, rows
from experiments.studies.sharpness.config import CONFIGS, Config, Panel
from experiments.studies.sharpness.store import PanelFile
from jaxopt_lab.core import errors

_OPTIONS = ("out", "fashion", "only", "first_seed")


def run(
    config: Config, folder: Path, fashion: Path | None = None
) -> list[claims.Verdict]:
    """Train, choose, decide, draw.

    Args:
      config: the size of the experiment.
      folder: gets a file for each panel, ``results.json`` and the figures; made if it
        is not there. Rows that it has already are not run again.
      fashion: where Fashion-MNIST lies, for panels that need it.

    Returns:
      The verdicts on the claims about the rows that were run.

    Raises:
      InputError: the folder holds results of other settings, or data are missing.
    """
    from experiments.studies.sharpness import figures, report, tasks, training

    began = time.perf_counter()
    files = [PanelFile(folder, panel, config) for panel in config.panels]
    laboratories: dict[str, training.Laboratory] = {}
    results: dict[tuple[str, str, str], claims.Result] = {}
    redundant: dict[str, claims.Agreement] = {}
    done, total = 0, sum(len(rows.of(panel)) for panel in config.panels)
    for panel, file in zip(config.panels, files, strict=True):
        scores: dict[str, columns.Scores] = {}
        sample = None
        for row in rows.of(panel):
            done += 1
            found = file.scores(row)
            if found is None:
                if panel.task not in laboratories:
                    task = tasks.load(panel.task, config, fashion)
                    laboratories[panel.task] = training.prepare(config, task)
                laboratory = laboratories[panel.task]
                sample = laboratory.sample(panel) if sample is None else sample
                start = time.perf_counter()
                found = laboratory.scores(row, panel, sample)
                file.add(row, found, time.perf_counter() - start)
            scores[row.name] = found
            so_far = time.perf_counter() - began
            line = f"[{done}/{total}, {so_far:.0f} s] {panel.name}: {row.name}"
            print(line, flush=True)
        results |= _results(panel, scores)
        figure = figures.radius_curves(panel, rows.of(panel), results)
        figure.savefig(folder / f"{panel.name}.png", dpi=110)
        agreement = claims.redundancy(scores, panel)
        if agreement is not None:
            redundant[panel.name] = agreement
    verdicts = [claims.verdict(c, results, config) for c in claims.claims(config)]
    said = [v for v in verdicts if v is not None]
    record = report.record(config, results, said)
    record["alpha"] = {name: a._asdict() for name, a in redundant.items()}
    (folder / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    report.show(config, results, said)
    for name, a in redundant.items():
        print(
            f"{name}: lookbehind with alpha 0.5 and 0.2 at equal alpha * step size, no "
            f"decay: {a.equal} of {a.runs} runs of equal accuracy, the others differ "
            f"by at most {100 * a.largest:.2f} points"
        )
    return said


def _results(
    panel: Panel, scores: Mapping[str, columns.Scores]
) -> dict[tuple[str, str, str], claims.Result]:
    found = {}
    for row in rows.of(panel):
        for column in (*columns.tuned(panel), *columns.equal_radius(panel)):
            result = columns.result(row, scores[row.name], column, panel)
            if result is not None:
                found[panel.name, column.name, row.name] = result
    return found


def _options(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in _OPTIONS or not equals or not value:
            raise errors.InputError(
                f"unknown option {word!r}; accepted: out=FOLDER, fashion=FOLDER, "
                "only=PANEL,..., first_seed=N"
            )
        found[name] = value
    return found


def _first_seed(options: dict[str, str]) -> int:
    value = options.get("first_seed", "0")
    if not value.isdecimal():
        raise errors.InputError(
            f"first_seed={value} cannot be read; accepted: whole numbers from 0"
        )
    return int(value)


def _panels(config: Config, only: str | None, fashion: Path | None) -> list[Panel]:
    known = {panel.name: panel for panel in config.panels}
    if only is None:
        names = [n for n, p in known.items() if p.task != "fashion" or fashion]
        if len(names) < len(known):
            print("without the panel fashion: fashion=FOLDER names its files")
    else:
        names = only.split(",")
    for name in names:
        if name not in known:
            raise errors.unknown("panel", name, known)
    return [known[name] for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0, or 2 for bad input.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if {"help", "--help", "-h"} & set(words):
        print(__doc__)
        return 0
    size = words.pop(0) if words else "quick"
    try:
        if size not in CONFIGS:
            raise errors.unknown("size", size, CONFIGS)
        options = _options(words)
        default = Path("runs") / "reproduce" / f"sharpness-{size}"
        folder = Path(options.get("out", default)).expanduser()
        fashion = (
            Path(options["fashion"]).expanduser() if "fashion" in options else None
        )
        config = CONFIGS[size]
        panels = _panels(config, options.get("only"), fashion)
        config = dataclasses.replace(config, first_seed=_first_seed(options))
        run(dataclasses.replace(config, panels=tuple(panels)), folder, fashion)
    except errors.InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print(f"files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
