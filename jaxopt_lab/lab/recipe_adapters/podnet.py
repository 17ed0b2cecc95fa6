"""PODNet in a run: the classes of a task in groups, one group after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.lab.recipe_adapters import class_scores
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given, Make, Options
from jaxopt_lab.lab.recipe_adapters.class_scores import SEEN
from jaxopt_lab.lab.recipe_adapters.class_stream import ClassStream, bounds
from jaxopt_lab.layers.classifier.local_similarity import local_similarity
from jaxopt_lab.recipes import PodOutputs, empty_memory, make_podnet_step
from jaxopt_lab.recipes.podnet import OLD
from jaxopt_lab.recipes.replay import MEMORY, MODEL
from jaxopt_lab.training import TrainState, make_evaluator

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared

NETWORK = "network"
_UNSEEN = -1e4
"""Logit of a class that has not come yet; its exponential is 0 beside any other."""


def network(
    make: Make, shape: tuple[int, ...], classes: int, options: Options
) -> Functional:
    """The run's model with a classifier by similarity to proxies, several a class.

    Args:
      make: of the run's model.
      shape: shape of one input.
      classes: all that will come.
      options: ``proxies`` of each class.

    Returns:
      The network, whose outputs are ``PodOutputs``: features are the inputs of the
      model's last layer, which is not used itself, maps the outputs of its
      convolutions. Model states are ``"network"`` and ``"seen"``, the classes that
      have come, whose logits count.
    """
    from jaxopt_lab.lab.layer_values import with_layers

    model = make(shape, classes)
    inner = with_layers(model, "outputs", ".")
    watched = with_layers(inner, "inputs")

    def apply(
        params: Params, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        ((_, outputs), [features]), after = watched.apply(
            params[NETWORK], state[NETWORK], x, train=train, key=key
        )
        features = features.reshape(len(x), -1)
        logits = local_similarity(features, params["proxies"])
        come = jnp.arange(classes, dtype=jnp.int32) < state[SEEN]
        logits = jnp.where(come, logits, jnp.asarray(_UNSEEN, logits.dtype))
        maps = [h for h in outputs if h.ndim == 4]
        out = PodOutputs(logits, features, maps, params["scale"])
        return out, {**state, NETWORK: after}

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        params, state = model.init(key)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

        def sizes(params: Any, state: Any, x: Any) -> Any:
            (_, [features]), _ = watched.apply(params, state, x, train=False)
            return features.reshape(len(x), -1)

        size = jax.eval_shape(sizes, params, state, x)
        drawn = jax.random.normal(
            jax.random.fold_in(key, 1),
            (classes, options["proxies"], size.shape[-1]),
            size.dtype,
        )
        scale = jnp.ones((), size.dtype)
        own = {NETWORK: params, "proxies": drawn, "scale": scale}
        return own, {NETWORK: state, SEEN: jnp.zeros((), jnp.int32)}

    return Functional(init, apply)


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. In the first step of every task but the first the frozen network
      becomes the model as it is. The memory is a reservoir of all examples so far.

    Raises:
      InputError: the data or the model do not fit.
    """
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    options, loaded, run = given.options, given.loaded, given.configuration.run
    tasks = options["tasks"]
    ends = bounds(loaded.num_classes, tasks)
    if loaded.of_classes is None:
        raise InputError(
            f"recipe={given.row.name} takes images in memory, by class; "
            f"task {run.task} has none"
        )
    steps = run.steps // tasks
    _check_maps(given)
    shared = step_options(given.row, run)
    settings = given.of_step("ratio", "store")
    spatial, flat = settings.pop("spatial"), settings.pop("flat")

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        task = jnp.minimum(state.step // steps, tasks - 1)
        begins = (state.step % steps == 0) & (state.step == task * steps)
        come = jnp.asarray(ends)[task + 1]
        by_role, states = _dict(state.params), _dict(state.model_state)
        own = {**states[MODEL], SEEN: come}
        old, old_state = trees.select(
            begins, (by_role[MODEL], own), (by_role[OLD], states[OLD])
        )
        state = state._replace(
            params={**by_role, OLD: old},
            model_state={**states, MODEL: own, OLD: old_state},
        )
        later = (task > 0).astype(jnp.float32)
        new = come - jnp.asarray(ends)[task]
        # The Python number 0 leaves the frozen network out of the program.
        made = make_podnet_step(
            given.network,
            given.tx,
            spatial=spatial and spatial * later,
            flat=flat and flat * later,
            ratio=come / new,
            store=True,
            **settings,
            **shared,
        )
        return made(state, batch)

    def first(draw: Draw) -> TrainState:
        own = draw(0)
        return own._replace(
            params={MODEL: own.params, OLD: own.params},
            model_state={MODEL: own.model_state, OLD: own.model_state},
            opt_state={MODEL: own.opt_state, OLD: ()},
        )

    def complete(state: TrainState, batch: Batch) -> TrainState:
        memory = empty_memory(batch, options["memory"])
        return state._replace(model_state={**_dict(state.model_state), MEMORY: memory})

    def view(state: TrainState) -> TrainState:
        params, model_state = _dict(state.params), _dict(state.model_state)
        opt_state: Any = state.opt_state
        return state._replace(
            params=params[MODEL],
            model_state=model_state[MODEL],
            opt_state=opt_state[MODEL],
        )

    def batches(loaded: Any) -> ClassStream:
        groups = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        return ClassStream([loaded.of_classes(range(*g)) for g in groups], steps)

    def tests(network: Functional, batches: Any, **options: Any) -> Any:
        sums = make_evaluator(class_scores.sums(network, ends), batches, **options)
        return lambda state: class_scores.scores(sums(state), tasks)

    return Prepared(
        step, first, view, complete, tested=_classifier, tests=tests, batches=batches
    )


def check(configuration: Configuration) -> None:
    """Refuse steps that tasks cannot share, and tests that miss the end of one.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option.
    """
    run, tasks = configuration.run, configuration.parts["recipe"]["tasks"]
    said = f"recipe={run.recipe} gives each of recipe.tasks={tasks} as many steps"
    if run.steps % tasks:
        raise InputError(f"{said}; steps={run.steps} is not divisible")
    each = run.steps // tasks
    if run.eval_every and each % run.eval_every:
        raise InputError(
            f"{said}, {each}, and is tested after every one; eval_every="
            f"{run.eval_every} does not divide it"
        )
    if run.patience:
        raise InputError(f"{said}; patience={run.patience} would end it in one")


def _dict(tree: Any) -> dict[str, Any]:
    return tree


def _classifier(network: Functional) -> Functional:
    """The network with scaled logits alone."""

    def apply(
        params: Params, state: ModelState, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        out, state = network.apply(params, state, x, train=train, key=key)
        return out.scale * out.logits, state

    return Functional(network.init, apply)


def _check_maps(given: Given) -> None:
    if not given.options["spatial"]:
        return
    x = jax.ShapeDtypeStruct((1, *given.loaded.input_shape), jnp.float32)

    def maps(x: Any) -> Any:
        params, state = given.network.init(jax.random.key(0))
        return given.network.apply(params, state, x, train=False)[0].maps

    if not jax.eval_shape(maps, x):
        raise InputError(
            f"recipe.spatial={given.options['spatial']} compares maps of convolutions; "
            f"model {given.configuration.run.model} has none; accepted of it: "
            "recipe.spatial=0"
        )


ADAPTER = Adapter(
    options={
        "tasks": Option(
            5, "groups of classes, trained one after the other", Interval(1), True
        ),
        "memory": Option(
            200, "examples that are kept of all so far", Interval(1), True
        ),
        "proxies": Option(10, "proxies of each class", Interval(1), True),
    },
    sets=("ratio", "store"),
    network=network,
    prepare=prepare,
    check=check,
    apart="shares its steps out among tasks, whose ends a comparison does not know",
    figures=class_scores.figures,
    sections=class_scores.sections,
)
