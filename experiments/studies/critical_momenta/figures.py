"""Hits against the step size, ways over contours, buffers, streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import figures as style
from experiments.studies.critical_momenta.buffers import Course
from experiments.studies.critical_momenta.escapes import Escapes
from experiments.studies.critical_momenta.toys import Toy
from experiments.studies.scores import Score
from jaxopt_lab.plotting.style import round_log_ticks


def rate_curves(
    panels: Mapping[str, Mapping[str, Score]],
    rates: Sequence[float],
    ylabel: str,
    scale: float = 1.0,
) -> style.Figure:
    """A score against the step size, a panel for each problem.

    Args:
      panels: scores by method, by problem.
      rates: the step sizes.
      ylabel: name of the score.
      scale: factor on it.

    Returns:
      The figure; the large marker is the step size that the method chose.
    """
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = style.grid(rows, columns, 3.8 * columns, 3.4 * rows + 1.2)
    grid = grid.ravel()
    for axes, (title, scores) in zip(grid, panels.items(), strict=False):
        looks = style.look_of(list(scores))
        for name, score in scores.items():
            look = looks[name]
            dash = {"linestyle": "--" if "cm" not in name else "-"}
            line = {**look.line(len(rates)), **dash}
            axes.plot(rates, scale * score.curve, label=name, **line)
            height = scale * score.curve[list(rates).index(score.rate)]
            axes.plot(score.rate, height, look.marker, color=look.color, markersize=9)
        style.log_places(axes, rates, rotation=45)
        axes.set_title(title)
        axes.set_xlabel("learning rate")
        style.tidy(axes)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    grid[0].set_ylabel(ylabel)
    style.legend_below(figure, grid[0])
    return figure


def ways(
    toy: Toy, found: Mapping[str, Escapes], rates: Sequence[float], rate: float
) -> style.Figure:
    """Ways of several optimizers over the contours of a toy, at one step size.

    Args:
      toy: the landscape; in one dimension the loss is drawn and the ways lie on it.
      found: by name of the method.
      rates: the step sizes.
      rate: the one to draw.

    Returns:
      The figure; circles are ends, the star is the target.
    """
    figure, (grid,) = style.grid(1, len(found), 3.4 * len(found), 3.6)
    at = list(rates).index(rate)
    line = np.linspace(*toy.window, 201)
    for axes, (name, escapes) in zip(grid, found.items(), strict=True):
        if toy.dims == 1:
            points = jnp.asarray(line[:, None], jnp.float32)
            axes.plot(line, jax.vmap(toy.loss)(points), color=style.GREY)
        else:
            mesh = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1)
            flat = jnp.asarray(mesh.reshape(-1, 2), jnp.float32)
            losses = np.asarray(jax.vmap(toy.loss)(flat)).reshape(len(line), -1)
            # Logarithmic above the lowest: basins differ by orders of magnitude.
            height = np.log10(losses - losses.min() + 0.1)
            axes.contourf(line, line, height.T, levels=24, cmap="Greys", alpha=0.8)
            axes.set_xlim(*toy.window)
            axes.set_ylim(*toy.window)
        for way, hit in zip(escapes.path[at], escapes.hit[at], strict=False):
            color = style.BLUE if hit else style.RED
            other = (
                np.asarray(jax.vmap(toy.loss)(jnp.asarray(way)))
                if toy.dims == 1
                else way[:, 1]
            )
            axes.plot(way[:, 0], other, color=color, linewidth=0.8, alpha=0.7)
            axes.plot(way[-1, 0], other[-1], "o", color=color, markersize=4)
        star = toy.target if toy.dims == 2 else (toy.target[0], None)
        if toy.dims == 1:
            height = float(toy.loss(jnp.asarray(toy.target, jnp.float32)))
            star = (toy.target[0], height)
        axes.plot(*star, "*", color=style.AMBER, markersize=12)
        axes.set_title(name)
        axes.set_xlabel("x")
    grid[0].set_ylabel("loss" if toy.dims == 1 else "y")
    figure.suptitle(f"{toy.name}, learning rate {rate:g}; blue: ends at the star")
    return figure


def courses(found: Mapping[str, Course]) -> style.Figure:
    """Age of the buffer, step length and loss along training.

    Args:
      found: by name of the method.

    Returns:
      The figure.
    """
    figure, (grid,) = style.grid(1, 3, 12.6, 4.2)
    looks = style.look_of(list(found))
    labels = ("mean age of the buffer (steps)", "norm of the update", "loss (nats)")
    for axes, name, label in zip(grid, Course._fields, labels, strict=True):
        for method, course in found.items():
            values = _smooth(getattr(course, name))
            if np.all(np.isnan(values)):
                continue
            axes.plot(values, label=method, **looks[method].line(len(values)))
        axes.set_yscale("log")
        round_log_ticks(axes.yaxis)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        style.tidy(axes)
    style.legend_below(figure, grid[1])
    return figure


def _smooth(values: np.ndarray, window: int = 20) -> np.ndarray:
    if len(values) < 2 * window:
        return values
    return np.convolve(values, np.ones(window) / window, mode="valid")
