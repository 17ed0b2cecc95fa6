"""Decoupled modules in a run: every layer of a perceptron with its own predictor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given
from jaxopt_lab.layers.prediction.synthetic_gradient import synthetic_gradient
from jaxopt_lab.recipes import make_decoupled_step
from jaxopt_lab.recipes.decoupled import MODULES, PREDICTORS

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared
    from jaxopt_lab.training import TrainState

_MODEL = "mlp"


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. Its modules are the layers of the perceptron, which is tested as a
      whole, as that of a run without the recipe.

    Raises:
      InputError: the data do not fit.
    """
    from jaxopt_lab.lab.models.activations import activation
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    configuration, loaded, options = given.configuration, given.loaded, given.options
    model: Any = configuration.model
    row: Any = configuration.rows.model
    nonlinear = activation(row, model.activation, {})(model.width, types={}, rngs=None)  # type: ignore[arg-type]
    modules = [_layer(nonlinear, i == 0) for i in range(model.depth)]
    modules.append(_layer(None, model.depth == 0))
    classes = loaded.num_classes if options["labels"] else 0
    predictor = synthetic_gradient(
        model.width + classes, hidden=options["hidden"], out=model.width
    )
    predictors = [predictor] * model.depth
    step = make_decoupled_step(
        modules,
        predictors,
        given.tx,
        classes=classes,
        **given.of_step("classes"),
        **step_options(given.row, configuration.run),
    )

    def first(draw: Draw) -> TrainState:
        own = draw(0)
        found = [draw(1 + i, predictor) for i in range(model.depth)]
        params = {
            MODULES: _in_row(own.params, model.depth),
            PREDICTORS: tuple(s.params for s in found),
        }
        return own._replace(
            params=params,
            model_state={MODULES: ({},) * len(modules)},
            opt_state={role: given.tx.init(params[role]) for role in params},
        )

    def view(state: TrainState) -> TrainState:
        params: Any = state.params
        opt_state: Any = state.opt_state
        return state._replace(
            params=_whole(params[MODULES]),
            model_state={},
            opt_state=opt_state[MODULES],
        )

    return Prepared(step, first, view)


def check(configuration: Configuration) -> None:
    """Refuse models and methods that cannot be decoupled.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option.
    """
    run, rows = configuration.run, configuration.rows
    said = f"recipe={run.recipe}"
    python = "in Python: jaxopt_lab.recipes.make_decoupled_step(modules, predictors)"
    if run.model != _MODEL:
        raise InputError(
            f"{said} trains the layers of model={_MODEL} apart; got model={run.model}; "
            f"{python}"
        )
    if rows.parts.get("activation") is not None:
        raise InputError(
            f"{said} goes with the model's own activations, "
            f"{', '.join(rows.model.activations)}; got model.activation="
            f"{configuration.model.activation}"
        )
    for row in (rows.method, rows.base):
        if row is not None and ("grad_fn" in row.needs or row.eval_params_fn):
            raise InputError(
                f"{said} hands every layer a gradient of its own; {row.name} asks for "
                "gradients or weights of the whole network"
            )
    if configuration.model.depth < 1:
        raise InputError(f"{said} needs a hidden layer; got model.depth=0")
    for name, value in (("precision", "float32"), ("quantize", ""), ("freeze", "")):
        if getattr(run, name) != value:
            raise InputError(
                f"{said} goes with {name}={value or chr(39) * 2} alone; got "
                f"{getattr(run, name)}"
            )
    if configuration.model.dtype != "float32":
        raise InputError(f"{said} goes with model.dtype=float32 alone")


def _layer(nonlinear: Any, first: bool) -> Functional:
    def apply(
        params: Params, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        del train, key
        own: Any = params
        while "kernel" not in own:
            (own,) = own.values()
        x = flattened(x) if first else x
        y = x @ own["kernel"] + own["bias"][None]
        return (y if nonlinear is None else nonlinear(y)), state

    return Functional(lambda key: ({}, {}), apply)


def _in_row(params: Any, depth: int) -> tuple[Params, ...]:
    """The parameters of a perceptron, by layer; each keeps its path."""
    hidden = sorted(params["hidden"], key=int)
    assert len(hidden) == depth
    return (
        *({"hidden": {name: params["hidden"][name]}} for name in hidden),
        {"head": params["head"]},
    )


def _whole(modules: Sequence[Any]) -> Params:
    """The parameters of the perceptron again."""
    *hidden, head = modules
    return {"hidden": dict(kv for m in hidden for kv in m["hidden"].items()), **head}


ADAPTER = Adapter(
    options={
        "hidden": Option(
            64,
            "units of the hidden layer of every predictor; 0: none",
            Interval(0),
            True,
        ),
        "labels": Option(False, "predictors see the label beside the activations"),
    },
    sets=("classes",),
    known=("predictors",),
    prepare=prepare,
    check=check,
)
