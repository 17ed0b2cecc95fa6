"""OSUDA in a run: a trained model adapted to a set whose labels train nothing."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Option
from jaxopt_lab.data.dataset import Dataset
from jaxopt_lab.lab.recipe_adapters import generators
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given, Options
from jaxopt_lab.lab.recipe_adapters.corrupted import NAMES, SEVERITY_OPTION, corrupted
from jaxopt_lab.layers.norm.alpha_bn import alpha_bn
from jaxopt_lab.recipes import AdaptingNorms, adapting_norms, make_osuda_step
from jaxopt_lab.recipes.osuda import MODEL, SOURCE, source_of
from jaxopt_lab.recipes.roles import in_role

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared
    from jaxopt_lab.training import TrainState

_NONE = "none"


def target(dataset: Dataset, options: Options) -> Dataset:
    """The set that the model is adapted to: that of the run, or it corrupted.

    Args:
      dataset: of the run's task.
      options: ``corruption``, one of ``data.corruptions`` or ``"none"``, and
        ``severity``.

    Returns:
      The set; every image has been corrupted once, the same way in every run.

    Raises:
      InputError: a corruption of what are no images from 0 to 1.
    """
    name, severity = options["corruption"], options["severity"]
    if name == _NONE or not severity or dataset.kind != "image":
        return dataset
    parts = {}
    for number, part in enumerate(("train", "test")):
        arrays = getattr(dataset, part)
        key = jax.random.key(number)
        changed = corrupted(key, arrays["image"], name, severity)
        parts[part] = {**arrays, "image": np.asarray(changed)}
    return dataclasses.replace(dataset, **parts)


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. The source is the model as it starts; what is tested has the mixed
      statistics of the last step.

    Raises:
      InputError: the data or the model do not fit.
    """
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    generators.check_data(given.row, given.loaded)
    norms = _norms(given)
    shared = step_options(given.row, given.configuration.run)
    step = make_osuda_step(norms, given.tx, **given.of_step(), **shared)

    def first(draw: Draw) -> TrainState:
        own = draw(0)
        source = source_of(own.params, own.model_state)
        return in_role(MODEL, own, {SOURCE: source})

    def view(state: TrainState) -> TrainState:
        trees: Any = state.params, state.model_state, state.opt_state
        params, model_state, opt_state = (tree[MODEL] for tree in trees)
        return state._replace(
            params=params, model_state=model_state, opt_state=opt_state
        )

    return Prepared(step, first, view)


def check(configuration: Configuration) -> None:
    """Refuse runs without a source, and models that cannot be made again.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option.
    """
    from jaxopt_lab.lab.models import Model

    run, rows = configuration.run, configuration.rows
    said = f"recipe={run.recipe} adapts a trained network"
    if not run.start_from:
        raise InputError(f"{said}; accepted: start_from=FOLDER of its run")
    if not isinstance(rows.model, Model):
        raise InputError(
            f"{said} of the lab; got model {rows.model.name}; in Python: "
            "jaxopt_lab.recipes.make_osuda_step"
        )
    for name, plain in (("precision", "float32"), ("quantize", "")):
        value = getattr(run, name)
        if value != plain:
            raise InputError(f"{said} in float32; {name}={value} is for training")
    corruption = configuration.parts["recipe"]["corruption"]
    if corruption != _NONE and run.image_size and rows.task.source == "tfds":
        raise InputError(
            f"recipe.corruption={corruption} is of a set in memory; image_size="
            f"{run.image_size} streams it"
        )


def _norms(given: Given) -> Any:
    """``norms(alpha)``, the model with statistics that a batch moves."""
    configuration, loaded = given.configuration, given.loaded
    model: Any = configuration.rows.model
    build = model.build(
        configuration.model,
        loaded.input_shape,
        loaded.num_classes,
        configuration.parts.get("norm"),
        configuration.parts.get("activation"),
    )

    def norms(alpha: Any) -> AdaptingNorms:
        return adapting_norms(build, functools.partial(alpha_bn, alpha=alpha))

    try:
        norms(0.0)
    except InputError as error:
        raise InputError(
            f"recipe={given.row.name}, model {configuration.run.model}: {error}; "
            "accepted: one that has, such as model=resnet20, or model=convnet "
            "model.norm=ghost_batch_norm"
        ) from None
    return norms


ADAPTER = Adapter(
    options={
        "corruption": Option(
            _NONE,
            "corruption of the run's images, training and test, that the model is "
            "adapted to; none: the set as it is",
            (_NONE, *NAMES),
            True,
        ),
        "severity": SEVERITY_OPTION,
    },
    known=("norms",),
    prepare=prepare,
    check=check,
    data=target,
    losses={"objective": ("loss", "entropy", "consistency")},
)
