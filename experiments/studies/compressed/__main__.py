"""``python -m experiments.studies.compressed quick|full``; see ``--help``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies import command, scores
from experiments.studies.compressed.config import CONFIGS, Config
from experiments.studies.tables import print_table
from jaxopt_lab.lab.statistics import bootstrap_interval

_PURPOSE = (
    "AdamW, its 8- and 4-bit states, linear codes of the second moment, MicroAdam,\n"
    "LDAdam, GaLore and Adafactor: a convolutional network on digits, and with a text\n"
    "a character transformer from scratch and fine-tuned from a trained one. Each\n"
    "chooses its learning rate on one half of the seeds and is scored on the other.\n"
    "Loss, bytes of state and of the compiled step, time of a step. Writes\n"
    "results.json and figures, after every panel."
)
_OPTIONS = {"text": "a text file for the transformer; without it only the convnet"}
_Rows = list[dict[str, Any]]


def run(config: Config, folder: Path, text: str | None = None) -> _Rows:
    """Run every panel.

    Args:
      config: the size of the experiment.
      folder: gets ``results.json`` and the figures; made if it is not there.
      text: a text file.

    Returns:
      One record for each method and panel.

    Raises:
      InputError: the text is not there.
    """
    from experiments.studies.compressed import methods, panels, runs

    # First, so that a typo ends the run at once.
    words = None
    if text is not None:
        words = panels.language(config, Path(text).expanduser())
    folder.mkdir(parents=True, exist_ok=True)
    rows: _Rows = []
    told: list[scores.Verdict] = []
    _panel(panels.images(config), config, folder, rows, told)
    if words is None:
        print("without the transformer: text=FILE names a text", flush=True)
        return rows
    scratch, tuning = words
    _panel(scratch, config, folder, rows, told)
    made = runs.stepper(methods.ADAMW, scratch, config)
    rate = next(
        r["rate"]
        for r in rows
        if (r["panel"], r["method"]) == (scratch.name, methods.ADAMW.name)
    )
    starts = []
    for seed in range(2 * config.seeds):
        state, _ = runs.follow(made, scratch, rate, seed, config, None)
        starts.append((state.params, state.model_state))
    _panel(tuning, config, folder, rows, told, starts)
    return rows


def _panel(
    panel: Any,
    config: Config,
    folder: Path,
    rows: _Rows,
    told: list[scores.Verdict],
    starts: list[Any] | None = None,
) -> None:
    from experiments.studies.compressed import figures, methods, runs

    base = runs.stepper(methods.ADAMW, panel, config)
    found: dict[str, scores.Score] = {}
    curves: dict[str, np.ndarray] = {}
    first = len(rows)
    for row in methods.ALL:
        began = time.perf_counter()
        made = base if row is methods.ADAMW else runs.stepper(row, panel, config)
        done = runs.all_runs(made, panel, config, starts)
        score = scores.score(done.final, config.rates, higher_is_better=False)
        found[row.name] = score
        at = config.rates.index(score.rate)
        curves[row.name] = done.losses[at, config.seeds :]
        timed = runs.step_time(made, base, panel, config)
        low, high = bootstrap_interval(score.values)
        rows.append(
            {
                "panel": panel.name,
                "method": row.name,
                "rate": score.rate,
                "at_the_edge": score.at_the_edge,
                "loss": float(score.values.mean()),
                "low": low,
                "high": high,
                "values": score.values.tolist(),
                "curve": score.curve.tolist(),
                "state_bytes": done.state_bytes,
                "peak_bytes": done.peak_bytes,
                "step_time": timed.median,
                "step_time_quartiles": (timed.low, timed.high),
                "compile_seconds": done.compile_seconds,
                "training_loss": curves[row.name].mean(axis=0).tolist(),
            }
        )
        seconds = time.perf_counter() - began
        print(f"{panel.name}, {row.name}: {seconds:.0f} s", flush=True)
    told += [
        scores.verdict(
            panel.name, found, methods.ADAMW.name, row.name, higher_is_better=False
        )
        for row in methods.ALL
        if row is not methods.ADAMW
    ]
    here = rows[first:]
    name = panel.name.replace(" ", "-")
    figures.curves(panel.name, curves).savefig(folder / f"{name}-loss.png", dpi=110)
    figures.price(
        panel.name,
        [r["method"] for r in here],
        [r["state_bytes"] for r in here],
        [r["loss"] for r in here],
        [(r["low"], r["high"]) for r in here],
    ).savefig(folder / f"{name}-bytes.png", dpi=110)
    _print(panel.name, here, told[-len(here) + 1 :])
    record = {
        "config": dataclasses.asdict(config),
        "rows": rows,
        "verdicts": [verdict._asdict() for verdict in told],
    }
    (folder / "results.json").write_text(json.dumps(record, indent=1) + "\n")


def _print(panel: str, rows: _Rows, told: Sequence[scores.Verdict]) -> None:
    behind = {verdict.worse: verdict for verdict in told}
    print_table(
        f"{panel}: held-out loss at the chosen rate (* edge of the grid)",
        (
            "method",
            "rate",
            "loss (nats)",
            "behind AdamW",
            "state (B/param)",
            "peak (B/param)",
            "step over AdamW's",
            "compiled in (s)",
        ),
        [
            (
                r["method"],
                f"{r['rate']:g}" + ("*" if r["at_the_edge"] else ""),
                f"{r['loss']:.4f} ({r['low']:.4f} to {r['high']:.4f})",
                _difference(behind.get(r["method"])),
                f"{r['state_bytes']:.2f}",
                f"{r['peak_bytes']:.1f}",
                f"{r['step_time']:.2f}",
                f"{r['compile_seconds']:.1f}",
            )
            for r in rows
        ],
    )


def _difference(verdict: scores.Verdict | None) -> str:
    if verdict is None:
        return ""
    return f"{verdict.difference:+.4f} ({verdict.low:+.4f} to {verdict.high:+.4f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("compressed", _PURPOSE, CONFIGS, run, arguments, _OPTIONS)


if __name__ == "__main__":
    sys.exit(main())
