"""The parts of a run: data, model, optimizer, train step and evaluator."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.data import MeshBatches, process_rows, put_batch
from jaxopt_lab.lab import (
    averaging,
    controlled,
    optimizers,
    placement,
    recipe_adapters,
    recipes,
    regularized,
    throughput,
)
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.materials import Start, first_state, loss_of, materials, metrics_of
from jaxopt_lab.training import (
    TrainState,
    init_seeds,
    init_sharded,
    make_evaluator,
    make_train_step,
    over_seeds,
    seed_keys,
    seed_shardings,
)
from jaxopt_lab.training.step_norms import step_norms


class Program(NamedTuple):
    """The parts of a run, before any step is taken.

    Attributes:
      state: its first state; stacked for several seeds.
      step: the train step.
      evaluate: the evaluator.
      batches: source of training batches, at its beginning.
      metric_fn: sums of loss and accuracy in evaluation mode, in float32 whatever the
        run computes in: curvature would drown in the rounding.
      fixed: ``fixed(n)`` gives n examples, always the same; see ``data.TaskData``.
      mesh: the devices; ``None``: one.
      view: ``view(state)``, the state of the model that is trained and tested; a recipe
        has others beside it.
      functional: the model as pure functions, as it is trained and tested.
      test_metric_fn: sums of the metrics of the test, of a classifier.
      tests: ``tests(batches, seeds=)``, an evaluator of states of ``view``.
      kind: of the data, ``"image"`` or ``"text"``.
      test: batches to test on.
      val: batches of the validation split; ``None``: there is none.
      input_shape: shape of one input.
      averaged: ``averaged(state)``, the view with the averaged weights in it; ``None``:
        the run keeps none.
      loss_fn: the loss of the train step, computed in float32; ``None`` for a recipe.
      num_classes: number of classes, or of tokens.
      characters: of a text, by token; empty: not known.
      eval_params: ``eval_params(params, opt_state)`` of a view, the parameters to
        evaluate; ``None``: the parameters.
      control: the controller, whose steps are an accumulation; ``None``: there is none.
    """

    state: TrainState
    step: Any
    evaluate: Any
    batches: Any
    metric_fn: Any
    fixed: Any
    mesh: Any = None
    view: Any = None
    functional: Any = None
    test_metric_fn: Any = None
    tests: Any = None
    kind: Any = None
    test: Any = None
    val: Any = None
    input_shape: tuple[int, ...] = ()
    averaged: Any = None
    loss_fn: Any = None
    control: Any = None
    num_classes: int = 0
    characters: str = ""
    eval_params: Any = None


def assemble(
    configuration: Configuration,
    start: Start | None = None,
    *,
    schedule: optax.Schedule | None = None,
) -> Program:
    """Data, model, optimizer and step of a run.

    Args:
      configuration: the run.
      start: ``start(params, model_state)``, the weights to begin with instead of those
        that were drawn.
      schedule: the learning rate by number of updates, instead of the run's own.

    Returns:
      Its parts; with several seeds the state is stacked.

    Raises:
      InputError: something in the configuration or the data does not fit.
    """
    run = configuration.run
    control = controlled.prepare(configuration)
    batch_of = controlled.by_micro_batch(configuration).run
    made = materials(configuration)
    loaded, placed, functional, computed, loss_fn, make = made
    mesh = None if placed is None else placed.mesh
    tx = optimizers.build(placement.on_each_device(configuration, placed), schedule)

    recipe, adapter = None, recipe_adapters.of_configuration(configuration)
    if (part := configuration.chosen("recipe")) is not None:
        if placed is not None:
            raise InputError(
                f"recipe={run.recipe} runs on one device; give mesh=data:1"
            )
        if adapter.prepare is None:
            given = loaded.input_shape, loaded.num_classes
            recipe = recipes.prepare(part, configuration, computed, tx, *given)
        else:
            recipe = adapter.prepare(
                recipe_adapters.Given(
                    recipes.row_of(part),
                    part.options,
                    configuration,
                    computed,
                    make,
                    tx,
                    loaded,
                )
            )
        made = made._replace(functional=recipe.of_network(functional))
    penalized = None
    if (part := configuration.chosen("regularizer")) is not None:
        if placed is not None and placed.per_device:
            raise InputError(
                f"regularizer={run.regularizer} needs the statistics of the whole "
                "batch; give mesh=data:1"
            )
        kind = np.float32 if loaded.kind == "image" else np.int32
        shape = (1, *loaded.input_shape)
        penalized = regularized.prepare(
            part,
            computed,
            lambda network: loss_of(configuration, loaded, network),
            jax.ShapeDtypeStruct(shape, kind),
        )
        loss_fn = penalized.loss_fn

    def init(key: jax.Array) -> TrainState:
        def draw(index: int, network: Functional | None = None) -> TrainState:
            own = jax.random.fold_in(key, index) if index else key
            begin = start if network is None else None
            state = first_state(own, made, tx, begin, network)
            return state if penalized is None else penalized.extend(state)

        return averages.extend(draw(0) if recipe is None else recipe.first(draw))

    eval_params = configuration.rows.method.eval_params_fn
    if recipe is not None and eval_params is not None:
        eval_params = recipe.of_each(eval_params)
    beside = penalized if recipe is None else recipe
    viewed = None if beside is None else beside.view
    averages = averaging.of_run(configuration, viewed, eval_params)
    keys = seed_keys(run.seed, run.seeds)
    many = run.seeds > 1
    step: Any
    reads = getattr(configuration.rows.parts.get("controller"), "reads", ())
    held: dict[str, Any] = {"": loaded.test}
    if loaded.val is not None:
        held["val_"] = loaded.val
    if placed is None:
        batches = loaded.train(None)
        if recipe is not None and recipe.batches is not None:
            batches = recipe.batches(loaded)
        if control is not None:
            step = controlled.step(loss_fn, tx, batch_of, averages, reads=reads)
        elif recipe is not None:
            step = averages.step(recipe.step)
        else:
            plain = make_train_step(
                loss_fn,
                tx,
                micro_batches=run.micro_batches,
                skip_nonfinite=run.on_nonfinite == "skip",
                measure=step_norms,
            )
            step = averages.step(plain)
        state = init_seeds(init, keys) if many else jax.jit(init)(keys[0])
        if recipe is not None:
            state = recipe.completed(state, batches, many)
    else:
        shapes = jax.eval_shape(init, keys[0])
        shardings = placement.shardings(shapes, configuration, placed)
        inner = placement.StateShardings(*map(averages.plain, shardings))
        if control is not None:
            step = controlled.step(loss_fn, tx, batch_of, averages, shardings, reads)
        else:
            step = placement.parallel_step(loss_fn, tx, inner, configuration, placed)
            step = averages.step(step, shardings.storage)
        state = (
            init_seeds(init, keys, seed_shardings(shardings.storage, placed.mesh))
            if many
            else init_sharded(init, keys[0], shardings.storage)
        )
        several = jax.process_count() > 1
        rows = process_rows(batch_of.batch_size, placed.mesh) if several else None
        batches = MeshBatches(loaded.train(rows), placed.mesh, seeds=many)
        held = {name: _replicated(b, placed.mesh) for name, b in held.items()}
    metrics = metrics_of(configuration, loaded)
    plain = computed is functional
    if recipe is not None:
        functional, computed = (
            recipe.tested(recipe.of_network(f)) for f in (functional, computed)
        )
    metric_fn = metrics(computed)

    def tests_of(batches: Any, eval_params: Any = None, **options: Any) -> Any:
        if recipe is None or recipe.tests is None:
            return make_evaluator(
                metric_fn, batches, eval_params=eval_params, **options
            )
        test = recipe.tests(computed, batches, **options)
        if eval_params is None:
            return test
        each = jax.jit(jax.vmap(eval_params) if options["seeds"] else eval_params)
        return lambda state: test(
            state._replace(params=each(state.params, state.opt_state))
        )

    def evaluators(eval_params: Any) -> Any:
        options = {"seeds": many, "mode": run.seed_mode}
        options |= {} if mesh is None else {"mesh": mesh}
        return {
            prefix: tests_of(batches_of, eval_params, **options)
            for prefix, batches_of in held.items()
        }

    tests = evaluators(eval_params)
    # The average is of the parameters that are evaluated already.
    average_tests = evaluators(None) if averages.decay and eval_params else tests

    def view(state: TrainState) -> TrainState:
        state = averages.plain(state)
        return state if viewed is None else viewed(state)

    def averaged(state: TrainState) -> TrainState:
        return view(state)._replace(**averages.of(state))

    def evaluate(state: TrainState) -> dict[str, np.ndarray]:
        tested = _tested(tests, view(state))
        if averages.decay:
            tested |= _tested(average_tests, averaged(state), "ema_")
        if loaded.kind != "image":
            unit = "character" if configuration.run.task == "text" else "token"
            tested |= throughput.text_scores(tested, unit)
        return tested

    return Program(
        state=state,
        step=over_seeds(step, run.seed_mode, mesh) if many else step,
        control=control,
        evaluate=evaluate,
        batches=batches,
        metric_fn=metric_fn if plain else metrics(functional),
        eval_params=eval_params,
        fixed=loaded.fixed,
        mesh=mesh,
        view=view,
        functional=computed,
        test_metric_fn=metric_fn,
        tests=tests_of,
        kind=loaded.kind,
        test=held[""],
        val=held.get("val_"),
        input_shape=loaded.input_shape,
        num_classes=loaded.num_classes,
        characters=loaded.characters,
        averaged=averaged if averages.decay else None,
        loss_fn=None if recipe else loss_of(configuration, loaded, functional),
    )


def _tested(
    evaluators: Any, state: TrainState, prefix: str = ""
) -> dict[str, np.ndarray]:
    return {
        f"{prefix}{set_of}{name}": value
        for set_of, each in evaluators.items()
        for name, value in each(state).items()
    }


def _replicated(batches: Any, mesh: Any) -> Any:
    """Test batches with a copy on every device of a mesh."""

    def put(batch: Any) -> Any:
        return put_batch(batch, mesh, whole=True)

    if callable(batches):
        read: Any = batches
        return lambda: map(put, read())
    return [put(batch) for batch in batches]
