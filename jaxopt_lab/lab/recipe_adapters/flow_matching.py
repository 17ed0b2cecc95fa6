"""Flow matching in a run: the model gives velocities, the test integrates them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.lab.recipe_adapters import generators
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given, Make, Options
from jaxopt_lab.losses.flow_errors import squared_error
from jaxopt_lab.recipes import (
    init_flow_matching,
    integrate_flow,
    make_flow_matching_step,
)
from jaxopt_lab.recipes.flow_matching import MODEL, draw_pairs
from jaxopt_lab.training import make_evaluator

if TYPE_CHECKING:
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared
    from jaxopt_lab.training import TrainState

_STEPS = "sample_steps"


def network(
    make: Make, shape: tuple[int, ...], classes: int, options: Options
) -> Functional:
    """The velocity from a model of the run: the time is one more channel of its input.

    Args:
      make: of the run's model.
      shape: shape of one input.
      classes: not used.
      options: likewise.

    Returns:
      The network, of ``(x, t)``; the model's outputs are as many as an input has.
    """
    del classes, options
    # Vectors get one more feature, and so do images without channels, row by row.
    model = make((*shape[:-1], shape[-1] + 1), math.prod(shape))

    def apply(
        params: Params, state: Any, inputs: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        x, t = inputs
        times = t.reshape(-1, *(1 for _ in shape)).astype(x.dtype)
        given = jnp.concatenate(
            [x, jnp.broadcast_to(times, (*x.shape[:-1], 1))], axis=-1
        )
        out, state = model.apply(params, state, given, train=train, key=key)
        return out.reshape(x.shape), state

    return Functional(model.init, apply)


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. Its test integrates the flow in ``sample_steps`` midpoint steps from
      noise that stays the same; its loss is that of training on test examples, whose
      noise and times stay the same, too.

    Raises:
      InputError: the data do not fit.
    """
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    generators.check_data(given.row, given.loaded)
    shared = step_options(given.row, given.configuration.run)
    step = make_flow_matching_step(given.network, given.tx, **given.of_step(), **shared)

    def first(draw: Draw) -> TrainState:
        own = draw(0)
        state = init_flow_matching(
            given.tx, own.params, own.key, model_state=own.model_state
        )
        return state._replace(opt_state={MODEL: own.opt_state})

    def view(state: TrainState) -> TrainState:
        trees: Any = state.params, state.model_state, state.opt_state
        params, model_state, opt_state = (tree[MODEL] for tree in trees)
        return state._replace(
            params=params, model_state=model_state, opt_state=opt_state
        )

    def tests(network: Functional, batches: Any, **options: Any) -> Any:
        made = _samples(network, given.loaded.input_shape, given.options[_STEPS])

        def losses(batches: Any) -> Any:
            return make_evaluator(_errors(network), batches, **options)

        return generators.tests(made, losses)(batches, **options)

    return Prepared(step, first, view, tests=tests)


def _samples(
    network: Functional, shape: tuple[int, ...], steps: int
) -> generators.Samples:
    def samples(params: Any, model_state: Any, key: jax.Array, count: int) -> jax.Array:
        def velocity(x: jax.Array, t: jax.Array) -> jax.Array:
            return network.apply(params, model_state, (x, t), train=False)[0]

        noise = jax.random.normal(key, (count, *shape), jnp.float32)
        return integrate_flow(velocity, noise, steps=steps)

    return samples


def _errors(network: Functional) -> Any:
    def metric_fn(params: Params, model_state: ModelState, batch: Batch) -> Metrics:
        data = to_float(jnp.asarray(batch["image"]))
        pairs = draw_pairs(jax.random.key(0), data, None, 0.0)
        at = pairs["x"], pairs["t"]
        velocity, _ = network.apply(params, model_state, at, train=False)
        errors = squared_error(velocity, displacement=pairs["displacement"])
        weight = batch.get("weight", jnp.ones(len(data))).astype(errors.dtype)
        return {"loss": jnp.sum(weight * errors), "weight": jnp.sum(weight)}

    return metric_fn


def _of_run(run: Any, count: int, key: jax.Array) -> jax.Array:
    steps = run.config[f"recipe.{_STEPS}"]
    made = _samples(run.model, run.input_shape, steps)
    return generators.samples_of(made)(run, count, key)


ADAPTER = Adapter(
    options={
        _STEPS: Option(
            32, "midpoint steps from noise to an example, in tests", Interval(1), True
        )
    },
    network=network,
    prepare=prepare,
    check=generators.check,
    score="coverage",
    classifies=False,
    apart=generators.APART,
    losses={
        "squared error": ("loss",),
        "pairs that count (%)": ("effective_share",),
    },
    scores=generators.SCORES,
    sections=generators.sections,
    samples=_of_run,
)
