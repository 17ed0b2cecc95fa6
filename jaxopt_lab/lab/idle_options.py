"""Options that would change nothing, refused: they were meant to change something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import schedules
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import RunOptions


def refuse(configuration: Configuration, given: Mapping[str, str]) -> None:
    """Refuse options without effect.

    Args:
      configuration: the run.
      given: the options that were given, as texts.

    Raises:
      InputError: names the first one, and what it needs.
    """
    method = configuration.rows.method
    if "base" in given and configuration.rows.base is None:
        raise InputError(
            f"base={given['base']} would do nothing: {method.name} is an optimizer "
            "of its own"
        )
    for name, needs in _found(configuration):
        value = getattr(configuration.run, name)
        raise InputError(f"{name}={value} would do nothing without {needs}")


def names(configuration: Configuration) -> list[str]:
    """The names of options without effect that are not at their defaults.

    Args:
      configuration: the run.

    Returns:
      The names.
    """
    return [name for name, _ in _found(configuration)]


def _found(configuration: Configuration) -> Iterator[tuple[str, str]]:
    defaults = RunOptions(**configuration.rows.task.defaults)
    for name, needs in _idle(configuration):
        if getattr(configuration.run, name) != getattr(defaults, name):
            yield name, needs


def _idle(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Names of run options without effect at these others, with what they need."""
    run = configuration.run
    if not run.out:
        yield "existing", "out="
    if not run.quantize:
        yield "quantize_keep", "quantize="
    if not run.image_size:
        yield "workers", "image_size="
    if run.curvature == "off":
        yield "curvature_examples", "curvature=top or all"
    if not run.coordinator:
        yield "processes", "coordinator="
        yield "process", "coordinator="
    if run.coordinator == "auto":
        yield "processes", "coordinator=host:port; auto finds the number"
        yield "process", "coordinator=host:port; auto finds the number"
    if not run.eval_every:
        yield "patience", "eval_every="
    if not run.start_from:
        yield "head", "start_from="
    if run.seeds == 1:
        yield "seed_mode", "several seeds="
    if run.recipe != "none":
        yield "loss", "recipe=none, whose loss it is"
        yield "regularizer", "recipe=none, to whose loss it is added"
        yield "label_smoothing", "recipe=none, whose loss it smooths"
    if not configuration.has("learning_rate"):
        for name in ("schedule", "warmup", "end_rate"):
            yield name, "an option learning_rate, which the optimizer has not"
    if ":" in run.schedule:
        yield "warmup", "a schedule by name; your own function gives the whole of it"
    if run.schedule not in schedules.TO_AN_END:
        yield "end_rate", f"schedule={', '.join(schedules.TO_AN_END)}"
    if run.schedule != "wsd":
        yield "cooldown", "schedule=wsd"
    if run.schedule != "steps":
        yield "milestones", "schedule=steps"
        yield "rate_factor", "schedule=steps"
    if not configuration.decays:
        yield "weight_decay_type", "weight_decay="
        yield "weight_decay_mask", "weight_decay="
        yield "decay_rules", "weight_decay="
