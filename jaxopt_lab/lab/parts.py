"""Rows of the catalog as norm, loss, augmentation, recipe and controller of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import Controller, Loss, Neutral, Recipe
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, Option
from jaxopt_lab.lab import imported, recipe_adapters, recipe_networks
from jaxopt_lab.lab.chosen_part import Chosen as Chosen
from jaxopt_lab.lab.models import AnyModel, Model, activations, norms, placed
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.losses.classification import LabelLoss
from jaxopt_lab.losses.soft_labels import with_soft_labels

AUGMENTATIONS = ("none", "crop", "flip", "crop_flip")
"""The augmentations that are no rows of the catalog."""

_FROM_PARAMS: Mapping[str, Callable[[Any], jax.Array]] = {
    "embedding": lambda params: params["head"]["kernel"].T
}
"""Arguments of losses that a run takes from the parameters of its model."""

_OF_DATA = ("num_classes",)
"""Arguments of data transforms that a run takes from its data."""


_OF_REGULARIZERS = {
    "weight": Option(
        0.001, "factor of the penalty, a mean over the examples", NON_NEGATIVE
    ),
    "layers": Option(
        "",
        "regular expression of the kernels of the layers whose outputs are penalized, "
        "before their activations (hidden/1); empty: all but the last",
    ),
}
"""Options of every regularizer of a run."""

OF_ONE_ROLE = ("network", "member")
"""The model's name among the arguments of recipes that have a single one."""


def rows_of(
    given: Mapping[str, str],
    defaults: RunOptions,
    model: AnyModel,
    own_loss: catalog.Part | None = None,
) -> dict[str, catalog.Part]:
    """The rows of the catalog that a command names beside its method.

    Args:
      given: options by name, as texts.
      defaults: those left out, without the options of the model.
      model: the model.
      own_loss: a loss of the caller instead of a name.

    Returns:
      Rows by place: ``"norm"``, ``"activation"``, those of ``placed.OWN``, ``"loss"``,
      ``"regularizer"``, ``"augment"``, ``"recipe"``, ``"controller"``. A place
      is absent where its name is no part of the catalog. Several data transforms are
      each in a place of their own name.

    Raises:
      InputError: a name is unknown, or the part does not fit the place.
    """
    found: dict[str, catalog.Part | None] = {}
    if isinstance(model, Model) and model.norms:
        found["norm"] = norms.row(model, given.get("model.norm", model.norms[0]))
    if isinstance(model, Model) and model.activations:
        name = given.get("model.activation", model.activations[0])
        found["activation"] = activations.row(model, name)
    if isinstance(model, Model) and model.placed:
        for place, own in placed.OWN.items():
            name = given.get(f"model.{place}", own)
            found[place] = placed.row(model, place, name)
    for place in ("loss", "regularizer", "recipe", "controller"):
        found[place] = _of_place(place, given.get(place, getattr(defaults, place)))
    if own_loss is not None:
        found["loss"] = own_loss
    names = given.get("augment", defaults.augment).split(",")
    rows = [name for name in names if _of_place("augment", name) is not None]
    if len(set(rows)) < len(rows):
        raise InputError(
            f"augment={','.join(names)} has {len(rows)} parts of the catalog; "
            "accepted: each one once"
        )
    for name in rows:
        found[name if len(rows) > 1 else "augment"] = _of_place("augment", name)
    return {place: row for place, row in found.items() if row is not None}


def own_loss(name: str, loss: Callable[..., Any]) -> Loss:
    """The row of a loss of one's own.

    Args:
      name: what it is called.
      loss: ``loss(logits, labels)``, a number for each label.

    Returns:
      The row; it has no options.

    Raises:
      InputError: it is no such function.
    """
    if not callable(loss):
        raise InputError(
            f"loss={name} is {errors.described(loss)}; accepted: loss(logits, labels)"
        )
    try:
        inspect.signature(loss).bind(None, None)
    except TypeError as error:
        raise InputError(
            f"loss={name} cannot be called with logits and labels: {error}"
        ) from None
    except ValueError:  # a builtin without a signature
        pass
    return Loss(
        name=name,
        summary=f"{name}, a loss of one's own",
        build=lambda logits, labels: loss(logits, labels),
        reduces_to=Neutral({}, "", note="not known"),
    )


def accepted(place: str) -> list[str]:
    """The names that a place takes, such as ``"loss"`` or ``"recipe"``."""
    own, kind, unfit = _PLACES[place]
    rows = catalog.of_kind(kind).values()
    return [*own, *(row.name for row in rows if not unfit(row))]


def details(place: str, row: catalog.Part) -> dict[str, Any]:
    """The options of a part that the command line offers under the part's place.

    Args:
      place: of ``rows_of``.
      row: the part.

    Returns:
      Options by name, without those that the model or the run sets;
      of a recipe also those of ``recipe_networks.options_of``.
    """
    elsewhere = {norms.INDEX} if place == "norm" else set()
    if place == "loss":
        elsewhere |= set(vars(RunOptions()))  # label_loss shares them
    if place in placed.OWN:
        elsewhere |= placed.SET
    if place == "controller":
        elsewhere |= set(_OF_BATCH)
    if place == "recipe":
        elsewhere |= set(recipe_adapters.of_row(row).sets)
    found = {
        name: option
        for name, option in row.details.items()
        # An option that is None has no type.
        if name not in elsewhere and option.default is not None
    }
    if place == "regularizer":
        found |= _OF_REGULARIZERS
    return found | (recipe_networks.options_of(row) if isinstance(row, Recipe) else {})


def trained_roles(row: Recipe) -> list[str]:
    """The roles of a recipe that change."""
    return [name for name in row.roles if name not in row.frozen]


def label_loss(part: Chosen, run: RunOptions) -> LabelLoss:
    """The loss of a training step.

    Args:
      part: a loss and its options.
      run: options that the loss shares with every run.

    Returns:
      ``loss(params, logits, labels)``, for integer labels and for probabilities.

    Raises:
      InputError: the run has a label smoothing, and the loss has none.
    """
    row = part.row
    shared = {n: getattr(run, n) for n in row.details if n not in part.options}
    if run.label_smoothing and "label_smoothing" not in shared:
        smooth = [n for n in accepted("loss") if "label_smoothing" in _details(n)]
        raise InputError(
            f"label_smoothing={run.label_smoothing} is no option of loss={row.name}; "
            f"losses that have it: {', '.join(smooth)}"
        )
    options = row.checked({**part.options, **shared})
    loss = with_soft_labels(row.load())
    needed = [name for name in _needs(row) if name in _FROM_PARAMS]

    def of_labels(params: Any, logits: jax.Array, labels: jax.Array) -> jax.Array:
        taken = {name: _FROM_PARAMS[name](params) for name in needed}
        return loss(logits, labels, **taken, **options)

    return of_labels


def data_transform(part: Chosen, num_classes: int) -> Any:
    """The data transform of a run.

    Args:
      part: a data transform and its options.
      num_classes: of the data.

    Returns:
      ``(key, batch) -> batch``.
    """
    known = {"num_classes": num_classes}
    taken = {name: known[name] for name in _needs(part.row) if name in known}
    return part.row.load()(**part.row.checked(part.options), **taken)


def _details(loss: str) -> Mapping[str, Any]:
    return catalog.get(loss, "loss").details


def _of_place(place: str, name: str) -> catalog.Part | None:
    own, kind, unfit = _PLACES[place]
    if name in own:
        return None
    if place == "loss" and imported.is_path(name):
        return own_loss(name, imported.load("loss", name))
    found = catalog.of_kind(kind).get(name)
    if found is None:
        raise errors.unknown(place, name, accepted(place))
    reason = unfit(found)
    if reason:
        raise InputError(
            f"{place}={name} cannot be used by a training run: the {kind} {reason}; "
            f"accepted: {', '.join(accepted(place))}; in Python: {in_python(found)}"
        )
    return found


def in_python(row: catalog.Part) -> str:
    """The import path of a part's function, or its name.

    >>> in_python(catalog.get("co_teaching"))
    'jaxopt_lab.recipes.make_co_teaching_step'
    """
    build = row.build
    if not isinstance(build, str):
        return row.name
    return build.replace(":", ".")


def _needs(row: catalog.Part) -> list[str]:
    """Names of the arguments without a default that are no options."""
    arguments = inspect.signature(row.load()).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        a.name
        for a in arguments
        if a.default is a.empty and a.kind in plain and a.name not in row.options
    ]


def _unfit_loss(row: catalog.Part) -> str:
    """The reason why a loss does not fit a training step; empty if it does."""
    assert isinstance(row, Loss)
    reasons = []
    if row.regularizer:
        reasons.append("is a regularizer, of activations or parameters")
    if row.stateful:
        reasons.append("has a state, which the step does not carry")
    if row.couples:
        reasons.append("couples the examples of a batch")
    if reasons:
        return " and ".join(reasons)
    needs = _needs(row)
    if needs[:2] != ["logits", "labels"]:
        return f"takes {' and '.join(needs[:2])}, not logits and labels"
    missing = [name for name in needs[2:] if name not in _FROM_PARAMS]
    return f"needs {', '.join(missing)}" if missing else ""


def _unfit_regularizer(row: catalog.Part) -> str:
    """The reason why a loss is no penalty of layers' outputs; empty if it is one."""
    assert isinstance(row, Loss)
    if not row.regularizer:
        return "is none of activations"
    if row.couples:
        return "couples the examples of a batch"
    return "" if row.stateful else f"takes {' and '.join(_needs(row))}"


def _unfit_transform(row: catalog.Part) -> str:
    missing = [name for name in _needs(row) if name not in _OF_DATA]
    return f"needs {', '.join(missing)}" if missing else ""


def _unfit_recipe(row: catalog.Part) -> str:
    """The reason why a recipe does not fit a run of one model; empty if it does."""
    assert isinstance(row, Recipe)
    if row.needs_data:
        return f"reads {row.needs_data}, which no task of the lab has"
    trained, adapter = trained_roles(row), recipe_adapters.of_row(row)
    own = adapter.prepare is not None
    if row.outputs and row.outputs not in recipe_networks.OUTPUTS and not own:
        return f"takes networks that give {row.outputs} beside logits"
    if len(trained) != 1 and not row.start and not own:
        return f"trains {len(trained)} models, {' and '.join(trained)}"
    known = (*row.roles, *OF_ONE_ROLE, *recipe_networks.OF_MODEL, "tx", *adapter.known)
    missing = [name for name in _needs(row) if name not in known]
    return f"needs {', '.join(missing)}" if missing else ""


_STATISTICS = ("variance", "grad_norm_sq", "batch", "loss", "coordinate_ratio")
"""Statistics that a step over micro-batches gives."""

_UNMEASURED: Mapping[str, str] = {
    "inner_variance": "of which a run would have to go through every micro-batch "
    "twice: their products with the mean gradient are known only when all are added",
    "largest_eigenvalue": "of which a run would have to measure the spectrum between "
    "two steps; curvature= measures it at tests, beside the training",
    "target_m1": "moments of activations on a target set, which no task has",
}
"""Reasons why a run has not got some statistics."""

_OF_BATCH = ("micro_batch", "start_batch")
"""Options of controllers that a run takes from its batch."""


def _unfit_controller(row: catalog.Part) -> str:
    """The reason why a controller does not fit a run; empty if it does."""
    assert isinstance(row, Controller)
    missing = [name for name in row.reads if name not in _STATISTICS]
    if missing:
        reasons = [_UNMEASURED[name] for name in missing if name in _UNMEASURED]
        reason = reasons[0] if reasons else "which a run does not measure"
        few = f"{missing[0]} and others" if len(missing) > 2 else " and ".join(missing)
        return f"reads {few}, {reason}"
    if not set(_OF_BATCH) <= set(row.options):
        return (
            f"decides {row.decides}, not the batch; schedule=cosine with warmup= and "
            "end_rate= is the same rule, and goes by examples where the batch grows"
        )
    return ""


_PLACES: Mapping[str, tuple[tuple[str, ...], str, Callable[[catalog.Part], str]]] = {
    "loss": ((), "loss", _unfit_loss),
    "regularizer": (("none",), "loss", _unfit_regularizer),
    "augment": (AUGMENTATIONS, "data transform", _unfit_transform),
    "recipe": (("none",), "recipe", _unfit_recipe),
    "controller": (("none",), "controller", _unfit_controller),
}
