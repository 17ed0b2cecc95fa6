"""The closing table and curves of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.plotting import Line, Panel, record_panels, training_curves
from jaxopt_lab.runtime import read_metrics


def _title(summary: dict[str, Any]) -> str:
    text = f"{summary['method']} on {summary['task']} with {summary['model']}"
    recipe = summary.get("recipe")
    return f"{text}, recipe {recipe}" if recipe else text


def _percent(values: list[float]) -> str:
    mean, half = mean_interval(values)
    spread = "" if math.isnan(half) else f" ± {100 * half:.2f}"
    return f"{100 * mean:.2f}{spread} %"


def _early(summary: dict[str, Any]) -> str:
    tests = summary.get("ended_early")
    if not tests:
        return ""
    chosen = summary.get("selected_on", "test")
    score = f"{chosen} {summary.get('score', 'accuracy')}"
    return f" of {summary['planned_steps']}: no better {score} in {tests} tests"


def _best(summary: dict[str, Any]) -> str:
    name = "best_accuracy" if "best_accuracy" in summary else "best_score"
    text = _percent(summary[name])
    if "best_step" not in summary:
        return text
    return f"{text} at step {summary['best_step']}, chosen on {summary['selected_on']}"


def _number(values: list[float]) -> str:
    mean, half = mean_interval(values)
    return f"{mean:.4f}" + ("" if math.isnan(half) else f" ± {half:.4f}")


def _seconds(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{1e3 * value:.2f} ms" if value < 1 else f"{value:.1f} s"


def _speed(summary: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    if summary.get("examples_per_second"):
        rate = f"{summary['examples_per_second']:,.0f} examples/s (all seeds)"
        found.append(("throughput", rate))
    if summary.get("mfu"):
        part = f"{100 * summary['mfu']:.1f} % of the bfloat16 rate of"
        found.append(("products", f"{part} {summary['mfu_of']}"))
    operations = summary.get("longest_operations") or []
    for i, (name, seconds, share) in enumerate(operations):
        label = "" if i else "longest operations"
        found.append((label, f"{name}: {1e3 * seconds:.2f} ms, {100 * share:.0f} %"))
    return found


def _averaged(summary: dict[str, Any]) -> list[tuple[str, str]]:
    if "final_ema_accuracy" not in summary:
        return []
    return [("with averaged weights", _percent(summary["final_ema_accuracy"]))]


def _text(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Perplexity and bits of a text's test."""
    if "final_perplexity" not in summary:
        return []
    unit = next(n for n in summary if n.startswith("final_bits_per_"))
    name = unit.removeprefix("final_bits_per_")
    return [
        ("final test perplexity", f"{_number(summary['final_perplexity'])} a {name}"),
        (f"bits a {name}", _number(summary[unit])),
    ]


def _of_generator(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Results of the tests of a network that is no classifier."""
    if "final_scores" not in summary:
        return []
    found = [
        (f"final test {name}", _percent(values))
        for name, values in summary["final_scores"].items()
    ]
    found.append((f"best test {summary['score']}", _best(summary)))
    if "final_loss" in summary:
        found.append(("final test loss", _number(summary["final_loss"])))
    return found


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The closing table of a run, as pairs of a label and a text.

    Args:
      summary: what ``runs.train`` gives.

    Returns:
      The pairs; accuracies are means over seeds with 95 % intervals.
    """
    seeds = summary["seeds"]
    table = [
        ("run", _title(summary)),
        ("steps", f"{summary['steps']}{_early(summary)}, {seeds} seed(s)"),
    ]
    if "batches" in summary:
        first, last = summary["batches"]
        seen = f"{summary['examples']:,} examples"
        table.append(("batch", f"{first}, at the end {last:.0f} on average; {seen}"))
    if "inputs" in summary:
        table.append(("inputs", summary["inputs"]))
    if "final_accuracy" in summary:
        table += [
            ("final test accuracy", _percent(summary["final_accuracy"])),
            *_averaged(summary),
            ("best test accuracy", _best(summary)),
            ("final test loss", f"{_number(summary['final_loss'])} nats"),
        ]
        table += _text(summary)
        if seeds > 1:
            each = ", ".join(f"{100 * a:.2f}" for a in summary["final_accuracy"])
            table.append(("final accuracy by seed", f"{each} %"))
    table += _of_generator(summary)
    return [
        *table,
        ("time of a step (all seeds)", _seconds(summary.get("step_seconds"))),
        *_speed(summary),
        ("compile time", _seconds(summary.get("compile_seconds"))),
        ("parameters", f"{summary['parameters']:,}"),
        (
            "optimizer state",
            f"{summary['state_bytes_per_parameter']:.2f} bytes a parameter",
        ),
        ("device", summary["device"]),
    ]


def print_summary(summary: dict[str, Any], folder: Path) -> None:
    """Print the closing table.

    Args:
      summary: what ``runs.train`` gives.
      folder: where the results lie.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title="result", title_justify="left")
    for label, text in rows(summary):
        table.add_row(label, text)
    console = Console()
    console.print(table)
    console.print(f"files in {folder}", soft_wrap=True, highlight=False)


def draw_curves(summary: dict[str, Any], folder: Path) -> Path:
    """Draw ``curves.png`` from the metrics of a run.

    Args:
      summary: what ``runs.train`` gives, for the title.
      folder: the run's folder.

    Returns:
      Path of the picture.
    """
    records = read_metrics(folder / "metrics.jsonl")
    path = folder / "curves.png"
    if "score" in summary:
        score = summary["score"]
        panels = [
            Panel("loss", [Line(kind, "loss", kind) for kind in ("train", "test")]),
            Panel(f"{score} (%)", [Line("test", score, "test")], scale=100),
        ]
        figure = record_panels(records, panels, _title(summary))
    else:
        figure = training_curves(records, _title(summary))
    figure.savefig(path, dpi=130)
    return path
