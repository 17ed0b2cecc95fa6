"""The sections of a run's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxopt_lab import plotting
from jaxopt_lab.lab import history, recipe_adapters, report
from jaxopt_lab.lab.run_options import PRESENTATION
from jaxopt_lab.lab.run_page import curves, mistakes
from jaxopt_lab.lab.statistics import FEWEST_EXAMPLES, bootstrap_interval
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.plotting import Section

_MOST_CLASSES = 100
_RESAMPLES = 1000


def sections(run: Run) -> list[Section]:
    """All sections of a run.

    Args:
      run: at the checkpoint whose predictions are shown; its files are read.

    Returns:
      Outcome, training, and where there is something to show: curvature, mistakes;
      command and versions, options.
    """
    summary, records = run.summary, run.records
    # All processes would have to take part.
    alone = jax.process_count() == 1
    adapter = recipe_adapters.of_configuration(run.configuration)
    examined = run.kind == "image" and alone and adapter.classifies
    found = _examined(run) if examined else None
    parts = [_outcome(run, summary, found)]
    if records:
        figure = curves.curves(records, text=run.kind == "text", adapter=adapter)
        text = "Means over the steps between two records."
        if run.config["seeds"] > 1:
            text += " Thin lines: seeds; thick: their mean."
        figures = {"curves along the training": figure}
        parts.append(Section("Training", text, figures=figures))
    if (figure := curves.along(records)) is not None:
        text = (
            "Largest eigenvalue of the Hessian of the cross-entropy, over the same "
            "training examples at every test. The dashed line is where plain gradient "
            "descent with the learning rate of that step becomes unstable; momentum "
            "raises it, and for Adam it belongs to the preconditioned Hessian."
        )
        figures = {"curvature along the training": figure}
        parts.append(Section("Curvature along the run", text, figures=figures))
    parts += adapter.sections(run)
    if found is not None:
        parts += _mistakes(run, found)
    return [*parts, _provenance(run, summary), _options(run)]


def _examined(run: Run) -> mistakes.Mistakes:
    one = run.seed(0)
    batches = run.test_batches
    return mistakes.examine(run.model, one.params, one.model_state, batches)


def _outcome(
    run: Run, summary: Mapping[str, Any], found: mistakes.Mistakes | None
) -> Section:
    rows = report.rows(dict(summary)) if summary.get("complete") else []
    rows = [(label or "", text) for label, text in rows]
    texts = []
    if run.config["seeds"] > 1:
        texts.append("± is Student's 95 % interval of the mean over seeds.")
    if found is not None and len(found.correct) >= FEWEST_EXAMPLES:
        which = f"test accuracy of seed {run.config['seed']}, step {run.step}"
        mean = 100 * float(np.mean(found.correct))
        low, high = (
            100 * end for end in bootstrap_interval(found.correct, resamples=_RESAMPLES)
        )
        rows.append((which, f"{mean:.2f} % ({low:.2f} to {high:.2f})"))
        texts.append(
            f"In brackets: 95 % interval over the {len(found.correct):,} test examples "
            "(bootstrap), for these weights; it says nothing about other seeds."
        )
    table = [("quantity", "value"), *rows] if rows else ()
    return Section("Outcome", texts, table)


def _mistakes(run: Run, found: mistakes.Mistakes) -> list[Section]:
    count, wrong = len(found.correct), int(np.sum(found.correct == 0))
    part = "" if found.whole else f" (the first {count:,} of the test set)"
    text = f"{wrong:,} of {count:,} test examples are wrong{part}."
    if run.config["seeds"] > 1:
        text += f" Seed {run.config['seed']}."
    pairs = mistakes.confused(found.confusion)
    table = [
        ("true class", "predicted", "examples"),
        *((str(i), str(j), f"{n:,}") for i, j, n in pairs),
    ]
    matrix = {}
    if len(found.confusion) <= _MOST_CLASSES:
        matrix["confusion matrix"] = plotting.confusion_matrix(found.confusion)
    return [
        Section("Mistakes", text, table if pairs else (), matrix),
        _worst(run, found),
    ]


def _worst(run: Run, found: mistakes.Mistakes) -> Section:
    text = "Test examples of the largest loss: number, true and predicted class, loss."
    rows = [
        (str(w.index), str(w.label), str(w.predicted), f"{w.loss:.3g}")
        for w in found.worst
    ]
    shape = run.input_shape
    image = len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))
    if not image or min(shape[:2]) < 2:
        head = ("example", "true class", "predicted", "loss (nats)")
        return Section("Worst examples", text, [head, *rows])
    captions = [f"{n}: {i} as {j}\nloss {nats}" for n, i, j, nats in rows]
    grid = plotting.image_grid([w.inputs for w in found.worst], captions)
    return Section("Worst examples", text, figures={"worst examples": grid})


def _provenance(run: Run, summary: Mapping[str, Any]) -> Section:
    last = (history.read(run.folder) or [{}])[-1]
    versions = summary.get("versions") or last.get("versions") or {}
    rows = [
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        ("commit", summary.get("commit") or "installed package"),
        ("host", str(summary.get("host"))),
        ("devices", f"{summary.get('device')}, {summary.get('mesh')}"),
        ("began", str(last.get("began"))),
        ("folder", str(run.folder)),
    ]
    command = summary.get("command") or last.get("command") or ""
    return Section(
        "Command and versions",
        table=[("", ""), *((a, b) for a, b in rows)],
        code=str(command),
    )


def _options(run: Run) -> Section:
    options = {n: x for n, x in run.config.items() if n not in PRESENTATION}
    rows = [(name, str(value)) for name, value in sorted(options.items())]
    return Section("All options", table=[("option", "value"), *rows], folded=True)
