"""The findings as figures, files and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lab import plotting
from jaxopt_lab.lab import html_page
from jaxopt_lab.lab.inspect import about
from jaxopt_lab.lab.inspect.measure import Findings
from jaxopt_lab.lab.inspect.options import InspectOptions
from jaxopt_lab.lab.inspect.trained_network import TrainedNetwork
from jaxopt_lab.lab.run_page import curves
from jaxopt_lab.lab.run_page import sections as run_sections
from jaxopt_lab.lab.run_page import write as run_page
from jaxopt_lab.plotting import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(
    network: TrainedNetwork, findings: Findings, options: InspectOptions, folder: Path
) -> Path:
    """Write the figures, ``results.jsonl``, ``arrays.npz`` and the page.

    Args:
      network: the network.
      findings: what was measured.
      options: how closely.
      folder: of figures and numbers; made if it is not there.

    Returns:
      ``report.html``: the run's own with these sections behind its own; in ``folder``
      where the options name one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = _figures(network, findings)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=130)
    record = {
        "step": network.step,
        "examples": options.examples,
        "matvecs": findings.probe.matvecs,
        **findings.probe.scalars,
        **{f"alpha/{name}": float(m.alpha) for name, m in findings.spectra.items()},
        **{f"rise/{name}": rise for name, rise in findings.rises.items()},
    }
    (folder / "results.jsonl").write_text(json.dumps(record) + "\n")
    np.savez(folder / "arrays.npz", **_arrays(findings))
    parts = [
        *run_sections.sections(network.run),
        *_sections(network, findings, options, figures),
    ]
    place = folder if options.out else network.run.folder
    return html_page.write(place, run_page.title(network.run), parts, pictures="png")


def _arrays(findings: Findings) -> dict[str, Any]:
    arrays = {
        **findings.probe.arrays,
        "line_steps": findings.line.steps,
        "line_losses": findings.line.losses,
    }
    for name, plane in (("filters", findings.filters), ("eigen", findings.eigen)):
        if plane is not None:
            arrays |= {
                f"{name}_first": plane.first,
                f"{name}_second": plane.second,
                f"{name}_losses": plane.losses,
            }
    return arrays


def _layers(findings: Findings) -> dict[str, tuple[float, float]]:
    """Largest eigenvalue and residual of each parameter, by path."""
    scalars = findings.probe.scalars
    names = [n for n in scalars if n.startswith("layer/") and n.count("/residual") == 0]
    return {
        n.removeprefix("layer/"): (scalars[n], scalars[f"{n}/residual"]) for n in names
    }


def _figures(network: TrainedNetwork, findings: Findings) -> dict[str, Figure]:
    arrays = findings.probe.arrays
    layers = _layers(findings)
    values, residuals = zip(*layers.values(), strict=True)
    figures = {
        "spectrum": plotting.spectrum(
            {"Hessian": (arrays["density_grid"], arrays["density"])},
            eigenvalues={"Hessian": findings.values},
        ),
        "layers": plotting.layer_bars(
            list(layers),
            values,
            residuals,
            xlabel="largest eigenvalue of the layer's block",
        ),
        "line": plotting.loss_lines(
            {"filter-normalised": {"run": (findings.line.steps, findings.line.losses)}}
        ),
        "surface": plotting.loss_surface(
            findings.filters.first, findings.filters.second, findings.filters.losses
        ),
    }
    if findings.spectra:
        figures["alphas"] = plotting.layer_bars(
            list(findings.spectra),
            [float(m.alpha) for m in findings.spectra.values()],
            xlabel="heavy-tail exponent alpha (FARMS)",
        )
    panels = {"filter-normalised": _panel(findings.filters)}
    if findings.eigen is not None:
        panels["top two eigenvectors"] = _panel(findings.eigen)
    figures["contours"] = plotting.loss_contours(panels)
    if network.records:
        figures["curves"] = plotting.training_curves(network.records)
    if (along := curves.along(network.records)) is not None:
        figures["along"] = along
    return figures


def _panel(plane: Any) -> tuple[Any, Any, Any]:
    return plane.first, plane.second, plane.losses


def _numbers(network: TrainedNetwork, findings: Findings) -> list[tuple[str, ...]]:
    scalars = findings.probe.scalars
    numbers = [
        ("quantity", "value", "error"),
        ("trace", f"{scalars['trace']:.6g}", f"{scalars['trace_error']:.2g}"),
        (
            f"effective rank of the spectrum ({scalars['density_steps']} steps)",
            f"{scalars['effective_rank']:.4g}",
            "",
        ),
        ("LLA r_e", f"{scalars['lla_r_e']:.3g}", ""),
        ("LLA K_Hn", f"{scalars['lla_k_hn']:.3g}", ""),
        ("rise along the step of SAM, 0.05", f"{scalars['sam_sharpness']:.4g}", ""),
        ("the same of ASAM, 0.5", f"{scalars['asam_sharpness']:.4g}", ""),
    ]
    rho = network.configuration.method.get("rho")
    for step, rise in findings.rises.items():
        numbers.append((f"rise along {step}, the run's rho {rho:g}", f"{rise:.4g}", ""))
    if (peak := about.largest_rate(network)) is not None:
        edge = peak * scalars["top_1"] / 2
        text = f"eta lambda / 2 at the largest learning rate, {peak:g}"
        numbers.append((text, f"{edge:.4g}", "above 1: unstable"))
    return numbers


def _sections(
    network: TrainedNetwork,
    findings: Findings,
    options: InspectOptions,
    figures: Mapping[str, Figure],
) -> list[Section]:
    scalars = findings.probe.scalars
    count = sum(1 for n in scalars if n.startswith("top_") and "_r" not in n)
    eigenvalues = [
        (str(i), f"{scalars[f'top_{i}']:.6g}", f"{scalars[f'top_{i}_residual']:.2g}")
        for i in range(1, count + 1)
    ]
    numbers = _numbers(network, findings)

    def shown(*names: str) -> dict[str, Figure]:
        return {name: figures[name] for name in names if name in figures}

    return [
        Section(
            "Inspected network",
            f"Measured over {options.examples} training examples in evaluation mode, "
            f"with {findings.probe.matvecs} Hessian-vector products.",
            [("option", "value"), *about.rows(network)],
        ),
        Section(
            "Curvature",
            "Largest eigenvalues of the Hessian with the norms of their residuals, "
            "within which there is an eigenvalue; trace with its standard error. "
            "r_e, K_Hn and the effective rank depend on the number of Lanczos steps.",
            [("number", "eigenvalue", "residual"), *eigenvalues],
            shown("spectrum", "layers"),
        ),
        Section("Numbers", table=numbers),
        Section(
            "Spectra of the weights",
            "Exponents of the power law that fits the tail of each kernel's squared "
            "singular values, over windows of one aspect ratio. They need no data.",
            figures=shown("alphas"),
        ),
        Section(
            "Landscape",
            "Loss on a plane through the trained point. Filter-normalised directions "
            f"have cosine {findings.filters.cosine:.3f} and are measured in the "
            "weights' own norms; eigenvectors have a length at which the quadratic "
            "model rises by 1 nat. With batch normalization the statistics are frozen.",
            figures=shown("contours", "surface", "line"),
        ),
    ]
