"""Data, model and loss of a run, before its optimizer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab import (
    controlled,
    data,
    models,
    parts,
    placement,
    precision,
    recipe_adapters,
)
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models.placed import OWN
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.losses.masked_tokens import masked_token_loss, masked_token_metrics
from jaxopt_lab.training import TrainState, init_state
from jaxopt_lab.training.mixed_precision import mixed_precision

Start: TypeAlias = Callable[[Params, ModelState], tuple[Params, ModelState]]


class Materials(NamedTuple):
    """Data, model and loss of a run, before its optimizer.

    Attributes:
      loaded: the data.
      placed: the devices; ``None``: one.
      functional: the model with float32 computation.
      computed: the model as it is trained.
      loss_fn: of the train step.
      make: ``make(shape, outputs)``, further models for inputs of this shape, drawn and
        computed as the run's.
    """

    loaded: data.TaskData
    placed: placement.Placement | None
    functional: Functional
    computed: Functional
    loss_fn: Any
    make: Any = None


def materials(configuration: Configuration) -> Materials:
    """Data, model and loss of a run.

    Args:
      configuration: the run.

    Returns:
      They.

    Raises:
      InputError: something in the configuration or the data does not fit.
    """
    run = configuration.run
    context = getattr(configuration.model, "context", 128)
    batch_of = controlled.by_micro_batch(configuration).run
    part = configuration.chosen("recipe")
    adapter = recipe_adapters.of_configuration(configuration)
    change = None
    if part is not None and (changed := adapter.data) is not None:
        options = part.options
        change = lambda dataset: changed(dataset, options)
    task, augmentations = configuration.rows.task, configuration.augmentations
    loaded = data.load(batch_of, task, context, *augmentations, change=change)
    placed = placement.chosen(configuration)
    if placed is not None and run.controller != "none":
        placed = placed._replace(per_device=False)
    global_statistics = placed is not None and placed.averages_statistics(run)
    model_in = functools.partial(
        functional_of,
        configuration,
        loaded.kind,
        batch_axis=DATA_AXIS if global_statistics else None,
    )

    def make(shape: tuple[int, ...], outputs: int) -> Functional:
        made = model_in(shape, outputs)
        apply = made.apply
        if run.precision != "float32":
            narrow = model_in(shape, outputs, dtype="bfloat16")
            apply = mixed_precision(narrow).apply
        if run.quantize:
            apply = precision.quantized(run, apply)
        return Functional(made.init, apply)

    def network(build: Any) -> Functional:
        given = loaded.input_shape, loaded.num_classes
        if part is None or adapter.network is None:
            return build(*given)
        return adapter.network(build, *given, part.options)

    functional = network(model_in)
    plain = run.precision == "float32" and not run.quantize
    computed = functional if plain else network(make)
    loss_fn = loss_of(configuration, loaded, computed)
    return Materials(loaded, placed, functional, computed, loss_fn, make)


def first_state(
    key: jax.Array,
    made: Materials,
    tx: optax.GradientTransformation,
    start: Start | None = None,
    network: Functional | None = None,
) -> TrainState:
    """The state of one seed before the first step.

    Args:
      key: root key of the seed.
      made: of the run.
      tx: its optimizer.
      start: as in ``assemble``.
      network: another one than the run's.

    Returns:
      The state.
    """
    init_key, step_key, _, noise_key = data.split_keys(key)
    drawn = made.functional if network is None else network
    params, model_state = drawn.init(init_key)
    if start is not None:
        params, model_state = start(params, model_state)
    state = init_state(tx, params, step_key, model_state)
    return state._replace(opt_state=own_noise(state.opt_state, noise_key))


def functional_of(
    configuration: Configuration,
    kind: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    batch_axis: str | None = None,
    dtype: str | None = None,
    around: Callable[[Any], Any] | None = None,
) -> Functional:
    """The model of a run as pure functions.

    Args:
      configuration: the run.
      kind: of its data.
      input_shape: shape of one input.
      num_classes: number of classes, or of tokens.
      batch_axis: axis of devices over which batch statistics are averaged.
      dtype: type in which its layers compute; ``None``: their own.
      around: of ``models.Wanted``.

    Returns:
      The functions.

    Raises:
      InputError: the model does not fit the data.
    """
    model = configuration.rows.model
    if model.kind not in ("any", kind):
        fitting = [m.name for m in models.MODELS.values() if m.kind == kind]
        raise InputError(
            f"model {model.name} takes {model.kind}, task {configuration.run.task} "
            f"gives {kind}; accepted: {', '.join(fitting)}, or my.module:Net"
        )
    wanted = models.Wanted(
        input_shape,
        num_classes,
        configuration.parts.get("norm"),
        batch_axis,
        dtype,
        kind == "text",
        configuration.parts.get("activation"),
        {p: o for p, o in configuration.parts.items() if p in OWN},
        around,
    )
    return model.functional(configuration.model, wanted)


def own_noise(opt_state: Any, key: jax.Array) -> Any:
    """An optimizer's state with noise keys of the seed's own.

    Methods that draw noise keep a key in their state, the same one for every seed of
    a run: without this, seeds would differ less than independent runs do.

    Args:
      opt_state: a fresh state.
      key: typed key of the seed.

    Returns:
      The state with each typed key replaced by a child of ``key``.
    """
    leaves, structure = jax.tree.flatten(opt_state)
    for i, leaf in enumerate(leaves):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaves[i] = jax.random.fold_in(key, i)
    return structure.unflatten(leaves)


def loss_of(
    configuration: Configuration, loaded: data.TaskData, functional: Any
) -> Any:
    """The loss of a run's train step.

    Args:
      configuration: the run.
      loaded: its data.
      functional: the model.

    Returns:
      ``loss_fn(params, model_state, batch, key)``.

    Raises:
      InputError: an option that the data have no use for.
    """
    run, part = configuration.run, configuration.chosen("loss")
    assert part is not None
    if loaded.kind != "image" and run.label_smoothing:
        raise InputError(
            f"label_smoothing={run.label_smoothing} is for images; task {run.task} "
            "has none"
        )
    loss = parts.label_loss(part, run)
    if _masked(configuration):
        return masked_token_loss(functional, mask=loaded.num_classes, loss=loss)
    image = loaded.kind == "image"
    make = losses.classification_loss if image else losses.next_token_loss
    return make(functional, loss=loss)


def metrics_of(
    configuration: Configuration, loaded: data.TaskData
) -> Callable[[Functional], losses.MetricFn]:
    """The metrics of a run's tests.

    Args:
      configuration: the run.
      loaded: its data.

    Returns:
      A function of the model that makes ``metric_fn(params, model_state, batch)``.

    Raises:
      InputError: metrics of one's own with a model of masked tokens.
    """
    extra = configuration.rows.own.metrics
    if _masked(configuration):
        if extra:
            raise InputError(
                f"metrics of one's own ({', '.join(extra)}) are of logits for whole "
                f"rows; model {configuration.rows.model.name} is tested on masks"
            )
        return functools.partial(masked_token_metrics, mask=loaded.num_classes)
    image = loaded.kind == "image"
    metrics = losses.classification_metrics if image else losses.next_token_metrics
    return functools.partial(metrics, extra=extra)


def _masked(configuration: Configuration) -> bool:
    model = configuration.rows.model
    return isinstance(model, models.Model) and model.masked
