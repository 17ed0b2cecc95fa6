"""The page of a comparison, and its table in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.lab import html_page
from jaxopt_lab.lab.comparison.figures import figures, floats, scale_of
from jaxopt_lab.lab.comparison.results import ranked, shown
from jaxopt_lab.lab.html_page import Section
from jaxopt_lab.lab.paired_tests import FEWEST

Table = list[tuple[str, ...]]


def write(
    folder: Path,
    found: Mapping[str, Any],
    times: Mapping[str, Mapping[str, Any]],
    command: str,
) -> Path:
    """Write ``report.html``.

    Args:
      folder: of the comparison.
      found: the results.
      times: by label: seconds of each run.
      command: that makes the comparison again.

    Returns:
      The path of the file.
    """
    about = found["about"]
    what = {"method": "Methods", "run": "Runs"}.get(about["varied"], about["varied"])
    title = f"{what} on {about['task']} with {', '.join(about['model'])}"
    drawn = figures(found, times)

    def figure(name: str, caption: str) -> dict[str, Any]:
        if name not in drawn:
            return {}
        return {"figures": {name: drawn[name]}, "captions": {name: caption}}

    sections = [
        Section("Result", conclusions(found), ranks(found)),
        Section(
            "End points",
            **figure(
                "end points",
                "Large marks: means over the seeds; lines: their 95 % intervals; "
                "points: seeds. Paired differences are shown more closely than "
                "intervals that overlap suggest: see Pairs.",
            ),
        ),
        Section(
            "Along the training",
            **figure(
                "curves",
                "Means over the seeds and their 95 % intervals. The first tests of "
                "each training are below the axis. Seconds are of stepping on the "
                "device of this comparison, compiling and testing apart.",
            ),
        ),
        Section("Pairs", _about_pairs(found), pairs(found)),
    ]
    if "sharpness" in drawn:
        caption = (
            "Of the training loss in evaluation mode over "
            f"{about['sharpness_examples']} examples, at the last step; geometric "
            "means. Smaller is flatter, in these coordinates of the weights."
        )
        sections.append(Section("Sharpness", **figure("sharpness", caption)))
    if "noise" in drawn:
        caption = (
            "The test with noise on the trained kernels, whose standard deviation is "
            "a part of each kernel's largest weight; means over draws and seeds, bands "
            "from the lowest seed to the highest."
        )
        sections.append(Section("Weight noise", **figure("noise", caption)))
    sections += [
        Section("Cost", table=_costs(found, times)),
        Section("Options that differ", table=_options(found), folded=True),
        Section("Again", _circumstances(times), code=command),
    ]
    return html_page.write(folder, title, sections)


def conclusions(found: Mapping[str, Any]) -> list[str]:
    """The results in words.

    Args:
      found: the results.

    Returns:
      Sentences: what is shown, how little could have been, and what was equal.
    """
    scale, label = scale_of(found)
    about, seeds = found["about"], len(found["about"]["seeds"])
    unit = ", in points" if found["score"] == "accuracy" else ", in nats"
    texts = []
    for m in ranked(found):
        better, _ = shown(found, m["label"])
        if better:
            texts.append(f"{m['label']} is better than {_listed(better)}.")
    if seeds == 1:
        texts = ["One seed: there is no interval and no verdict; give seeds=5 or more."]
    elif seeds < FEWEST:
        texts = [f"{seeds} seeds give intervals and no verdict; {FEWEST} are needed."]
    elif not texts:
        texts = ["No difference is shown."]
    smallest = [p["smallest"] for p in found["pairs"] if p["smallest"] is not None]
    if smallest:
        low, high = (f"{scale * end(smallest):.2g}" for end in (min, max))
        least = low if low == high else f"{low} to {high} by pair"
        undecided = sum(p["better"] is None for p in found["pairs"])
        texts.append(
            f"Undecided pairs: {undecided} of {len(found['pairs'])}. The smallest "
            f"difference that could have been shown{unit}: {least}."
        )
    equal = f"{label}, {seeds} seed(s), budget {about['budget']}"
    tuned = f"each tuned with {about['trials']} trials"
    if not about["trials"]:
        tuned = "options as given or the catalog's defaults, not tuned"
    texts.append(f"By {equal}; {tuned}.")
    for m in found["methods"]:
        if about["trials"] and not m.get("tuned"):
            texts.append(
                f"{m['label']} was not tuned: the catalog has no range for it."
            )
        if any(m["skipped"]):
            texts.append(
                f"{m['label']}: the loss was not finite in {sum(m['skipped'])} steps, "
                "which were skipped."
            )
    return texts


def ranks(found: Mapping[str, Any]) -> Table:
    """The table of ranks, the best method first.

    Args:
      found: the results.

    Returns:
      Rows of texts, the head first.
    """
    scale, label = scale_of(found)
    head = (
        "rank",
        found["about"]["varied"],
        label,
        "mean rank",
        "over test examples",
        "better than",
        "worse than",
    )
    rows: Table = [head]
    for m in ranked(found):
        better, worse = shown(found, m["label"])
        rows.append(
            (
                f"{m['rank']:g}",
                m["label"],
                _mean(m["mean"], m["interval"], scale),
                f"{m['mean_rank']:.1f}",
                _range(m["examples_interval"], scale),
                _listed(better),
                _listed(worse),
            )
        )
    return rows


def pairs(found: Mapping[str, Any]) -> Table:
    """The table of pairs, those that are shown first.

    Args:
      found: the results.

    Returns:
      Rows of texts, the head first.
    """
    scale, label = scale_of(found)
    head = ("pair", f"difference, {label}", "p", "could have shown", "over examples")
    rows: Table = [(*head, "better")]
    signed = f"+{_digits(scale)}"
    for p in sorted(found["pairs"], key=lambda p: (p["better"] is None, p["p"])):
        least = "-" if p["smallest"] is None else f"{scale * p['smallest']:.2g}"
        mean, range_ = p["difference"], _range(p["interval"], scale, signed)
        rows.append(
            (
                f"{p['first']} - {p['second']}",
                "-" if mean is None else f"{scale * mean:{signed}} ({range_})",
                f"{p['p']:.2g}",
                least,
                _range(p["examples_interval"], scale, signed),
                p["better"] or "undecided",
            )
        )
    return rows


def _about_pairs(found: Mapping[str, Any]) -> list[str]:
    texts = [
        "Differences are paired over the seeds, which have the same initial weights "
        "and data order: mean and Student's 95 % interval. A pair is decided where "
        "its p-value is small enough by Holm's procedure, so that all verdicts "
        "together are right with 95 %; fewer than five seeds decide nothing."
    ]
    if any(p["examples_interval"] for p in found["pairs"]):
        texts.append(
            "Over examples: bootstrap interval of the difference over the "
            f"{found['test_examples']} test examples, for these seeds: how much "
            "another test set could change it."
        )
    return texts


def _costs(found: Mapping[str, Any], times: Mapping[str, Mapping[str, Any]]) -> Table:
    head = ("", "steps", "gradients", "examples", "ms a step", "compiling, s")
    rows: Table = [(*head, "state, bytes a parameter", "parameters")]
    for m in ranked(found):
        last, seconds = m["curve"][-1], times[m["label"]]
        step, compiling = seconds.get("step_seconds"), seconds.get("compile_seconds")
        rows.append(
            (
                m["label"],
                f"{last['step']:,}",
                f"{last['gradients']:,g}" if "gradients" in last else "-",
                f"{last['examples']:,}" if "examples" in last else "-",
                "-" if not step else f"{1e3 * step:.2f}",
                "-" if compiling is None else f"{compiling:.1f}",
                f"{m['state_bytes_per_parameter']:.1f}",
                f"{m['parameters']:,}",
            )
        )
    return rows


def _options(found: Mapping[str, Any]) -> Table:
    methods = found["methods"]
    every = list(dict.fromkeys(name for m in methods for name in m["settings"]))
    rows: Table = [("option", *(m["label"] for m in methods))]
    for name in every:
        values = [str(m["settings"].get(name, "-")) for m in methods]
        if len(set(values)) > 1:
            rows.append((name, *values))
    return rows


def _circumstances(times: Mapping[str, Mapping[str, Any]]) -> list[str]:
    last = next(iter(times.values()))
    versions = last.get("versions") or {}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    texts = [f"Trained on {last.get('device') or 'an unknown device'}. {named}"]
    if last.get("commit"):
        texts.append(f"Commit {last['commit']}.")
    return texts


def _mean(mean: float | None, interval: Any, scale: float) -> str:
    if mean is None:
        return "not finite"
    form = _digits(scale)
    if interval is None:
        return f"{scale * mean:{form}}"
    half = scale * (interval[1] - interval[0]) / 2
    return f"{scale * mean:{form}} ± {half:{form}}"


def _digits(scale: float) -> str:
    """Two digits of points, four of other scores."""
    return ".2f" if scale > 1 else ".4f"


def _range(ends: Any, scale: float, form: str = "") -> str:
    if not ends:
        return "-"
    low, high = scale * floats(ends)
    form = form or _digits(scale)
    return f"{low:{form}} to {high:{form}}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "-"
