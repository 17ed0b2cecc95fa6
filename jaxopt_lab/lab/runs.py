"""One run, from its configuration to its result files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.data import MeshBatches, process_rows, put_batch
from jaxopt_lab.lab import data, optimizers, parts, placement, probing, statistics
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models.layers import with_batch_axis
from jaxopt_lab.lab.run_options import PRESENTATION, TOPOLOGY
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.runtime import (
    Checkpoints,
    FitResult,
    JsonLines,
    TensorBoard,
    fit,
    processes,
    read_metrics,
)
from jaxopt_lab.runtime.run_folder import refuse_other_config
from jaxopt_lab.training import (
    TrainState,
    from_nnx,
    init_seeds,
    init_sharded,
    init_state,
    make_evaluator,
    make_train_step,
    over_seeds,
    seed_keys,
    seed_shardings,
)


class Outcome(NamedTuple):
    """Result of a run.

    Attributes:
      folder: of its files.
      fitted: final state and timings; ``None`` if the run was complete before.
      stopped: name of the signal that ended it, or ``None``.
      summary: the figures of the closing table, as in ``summary.json``.
    """

    folder: Path
    fitted: FitResult | None
    stopped: str | None
    summary: dict[str, Any]


class Program(NamedTuple):
    """The parts of a run, before any step is taken.

    Attributes:
      state: its first state; stacked for several seeds.
      step: the train step.
      evaluate: the evaluator.
      batches: source of training batches, at its beginning.
      metric_fn: sums of loss and accuracy in evaluation mode.
      fixed: ``fixed(n)`` gives n examples, always the same; see ``data.TaskData``.
    """

    state: TrainState
    step: Any
    evaluate: Any
    batches: Any
    metric_fn: Any
    fixed: Any


def assemble(configuration: Configuration) -> Program:
    """Data, model, optimizer and step of a run.

    Args:
      configuration: the run.

    Returns:
      Its parts; with several seeds the state is stacked.

    Raises:
      InputError: something in the configuration or the data does not fit.
    """
    run = configuration.run
    context = getattr(configuration.model, "context", 128)
    loaded = data.load(
        run, configuration.rows.task, context, configuration.chosen("augment")
    )
    placed = placement.chosen(configuration)
    mesh = None if placed is None else placed.mesh
    build = configuration.rows.model.build(
        configuration.model,
        loaded.input_shape,
        loaded.num_classes,
        configuration.parts.get("norm"),
    )
    if placed is not None and placed.averages_statistics(run):
        build = with_batch_axis(build, DATA_AXIS)
    functional = from_nnx(build)
    tx = optimizers.build(placement.on_each_device(configuration, placed))
    loss_fn = _loss(configuration, loaded.kind, functional)

    def init(key: jax.Array) -> TrainState:
        init_key, step_key, _, noise_key = data.split_keys(key)
        params, model_state = functional.init(init_key)
        state = init_state(tx, params, step_key, model_state)
        return state._replace(opt_state=own_noise(state.opt_state, noise_key))

    keys = seed_keys(run.seed, run.seeds)
    many = run.seeds > 1
    test = loaded.test
    if placed is None:
        batches = loaded.train(None)
        step = make_train_step(
            loss_fn,
            tx,
            micro_batches=run.micro_batches,
            skip_nonfinite=run.on_nonfinite == "skip",
        )
        state = init_seeds(init, keys) if many else jax.jit(init)(keys[0])
    else:
        shapes = jax.eval_shape(init, keys[0])
        shardings = placement.shardings(shapes, configuration, placed)
        step = placement.parallel_step(loss_fn, tx, shardings, configuration, placed)
        state = (
            init_seeds(init, keys, seed_shardings(shardings.storage, placed.mesh))
            if many
            else init_sharded(init, keys[0], shardings.storage)
        )
        several = jax.process_count() > 1
        rows = process_rows(run.batch_size, placed.mesh) if several else None
        batches = MeshBatches(loaded.train(rows), placed.mesh, seeds=many)
        test = _replicated(test, placed.mesh)
    image = loaded.kind == "image"
    metrics = losses.classification_metrics if image else losses.next_token_metrics
    metric_fn = metrics(functional)
    evaluate = make_evaluator(
        metric_fn,
        test,
        eval_params=configuration.rows.method.eval_params_fn,
        seeds=many,
        mode=run.seed_mode,
        mesh=mesh,
    )
    return Program(
        state=state,
        step=over_seeds(step, run.seed_mode, mesh) if many else step,
        evaluate=evaluate,
        batches=batches,
        metric_fn=metric_fn,
        fixed=loaded.fixed,
    )


def _replicated(batches: Any, mesh: Any) -> Any:
    """Test batches with a copy on every device of a mesh."""

    def put(batch: Any) -> Any:
        return put_batch(batch, mesh, whole=True)

    if callable(batches):
        read: Any = batches
        return lambda: map(put, read())
    return [put(batch) for batch in batches]


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


def _loss(configuration: Configuration, kind: str, functional: Any) -> Any:
    run, part = configuration.run, configuration.chosen("loss")
    assert part is not None
    if kind != "image" and run.label_smoothing:
        raise InputError(
            f"label_smoothing={run.label_smoothing} is for images; task {run.task} "
            "has none"
        )
    make = losses.classification_loss if kind == "image" else losses.next_token_loss
    return make(functional, loss=parts.label_loss(part, run))


def train(configuration: Configuration, folder: Path) -> Outcome:
    """Train, or continue training, in a folder.

    Args:
      configuration: the run.
      folder: made if it is not there; see ``RunOptions.existing``.

    Returns:
      The outcome; its summary is in ``summary.json`` too, the metrics in
      ``metrics.jsonl``.

    Raises:
      InputError: a part does not fit, or the folder belongs to another run.
      NonFiniteLossError: the loss is not finite.
    """
    run = configuration.run
    hidden = PRESENTATION | TOPOLOGY
    settings = {k: v for k, v in configuration.flat().items() if k not in hidden}
    # Before the folder is made: a command that fails must not leave a folder that
    # refuses the corrected one.
    program = assemble(configuration)
    first = processes.is_first()
    if first:
        refuse_other_config(folder, settings, force=run.existing == "continue")
    metrics_file = folder / "metrics.jsonl"
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(
            Checkpoints(folder / "checkpoints", keep=run.keep, best_metric="accuracy")
        )
        stack.enter_context(processes.fail_together(checkpoints.latest))
        state, pending, start = program.state, None, 0
        if checkpoints.latest() is not None:
            restored = checkpoints.restore(state)
            state, start = restored.state, restored.step
            program.batches.set_state(restored.data["batches"])
            pending = restored.data["pending"]
        sinks: list[Any] = []
        if first:
            sinks.append(JsonLines(metrics_file, resume_at=start))
        if run.tensorboard and first:
            sinks.append(TensorBoard(folder / "tensorboard"))
        for sink in sinks:
            stack.callback(sink.close)
        if start >= run.steps:
            fitted = None
        else:
            fitted = fit(
                program.step,
                state,
                program.batches,
                steps=run.steps,
                log_every=run.log_every,
                evaluate=program.evaluate,
                eval_every=run.eval_every,
                hooks=_hooks(configuration, program, folder),
                sinks=sinks,
                checkpoints=checkpoints,
                save_every=run.save_every,
                pending=pending,
                on_nonfinite=run.on_nonfinite,
                progress={"auto": "auto", "on": True, "off": False}[run.progress]
                if first
                else False,
            )
    final = state if fitted is None else fitted.state
    summary = _summary(configuration, final, fitted, folder) if first else {}
    stopped = None if fitted is None else fitted.stopped
    return Outcome(folder, fitted, stopped, summary)


def _hooks(configuration: Configuration, program: Program, folder: Path) -> list[Any]:
    if configuration.run.curvature == "off":
        return []
    batches = program.fixed(configuration.run.curvature_examples)
    return [probing.hook(configuration, program.metric_fn, batches, folder)]


def _summary(
    configuration: Configuration,
    state: TrainState,
    fitted: FitResult | None,
    folder: Path,
) -> dict[str, Any]:
    path = folder / "summary.json"
    if fitted is None and path.exists():
        return json.loads(path.read_text())
    records = [r for r in read_metrics(folder / "metrics.jsonl") if r["kind"] == "test"]
    parameters = trees.count(state.params)
    summary: dict[str, Any] = {
        "method": configuration.run.method,
        "task": configuration.run.task,
        "model": configuration.run.model,
        "seeds": configuration.run.seeds,
        "steps": int(np.ravel(state.step)[0]),
        "parameters": parameters // configuration.run.seeds,
        "state_bytes_per_parameter": trees.nbytes(state.opt_state) / parameters,
        "device": jax.devices()[0].device_kind,
    }
    if fitted is not None:
        summary |= {
            "step_seconds": fitted.step_seconds,
            "compile_seconds": fitted.compile_seconds,
        }
    if records:
        last = {name: np.ravel(records[-1][name]) for name in ("accuracy", "loss")}
        best = np.max([np.ravel(r["accuracy"]) for r in records], axis=0)
        summary |= {
            "final_accuracy": last["accuracy"].tolist(),
            "best_accuracy": best.tolist(),
            "final_loss": last["loss"].tolist(),
            "final_accuracy_mean": statistics.mean_interval(last["accuracy"]).mean,
        }
    path.write_text(json.dumps(summary, indent=2) + "\n")
    return summary
