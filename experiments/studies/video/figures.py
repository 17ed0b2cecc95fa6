"""Signal-to-noise ratio by bytes."""

from __future__ import annotations

from experiments.harness import figures as style
from experiments.studies.video.measure import HNERV, NERV, Measured


def curves(measured: Measured) -> style.Figure:
    """Quantized frames, and frames between; a point a clip, lines of the means."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.6)
    panels = (
        (left, measured.quantized, "trained frames, quantized (dB)"),
        (right, measured.between, "frames between (dB)"),
    )
    for axes, values, label in panels:
        for name, (color, marker, line) in style.look_of([HNERV, NERV]).items():
            size = measured.size[name]
            axes.plot(
                size.ravel(), values[name].ravel(), marker, color=color, alpha=0.3
            )
            means = size.mean(axis=1), values[name].mean(axis=1)
            axes.plot(*means, line, marker=marker, color=color, label=name)
        axes.set_xlabel("bytes")
        axes.set_ylabel(label)
        style.tidy(axes)
    left.legend(frameon=False)
    return figure
