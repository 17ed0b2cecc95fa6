"""Pure ``init`` and ``apply`` functions from flax modules.

The train step, the optimizers and the checkpoints see plain nested dicts of arrays
and never a module: parameter paths then end in the bare names (``kernel``,
``bias``) that masks look for, and any tool that knows dicts can read them.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.training.modes import (
    FLAGS,
    check_mode_names,
    mode_of,
    modes,
    with_mode,
)

if TYPE_CHECKING:
    from flax import linen, nnx


def _keep_dtypes(new: ModelState, old: ModelState) -> ModelState:
    """``new`` with the dtypes of ``old``: a step must not change dtypes."""
    return jax.tree.map(
        lambda n, o: n if n.dtype == o.dtype else n.astype(o.dtype), new, old
    )


def _value(leaf: Any) -> Any:
    """The array in a variable; plain arrays of a module are their own value."""
    return leaf.get_value() if hasattr(leaf, "get_value") else leaf


class _Layout:
    """Mapping between the variables of a module and a nested dict with string keys."""

    def __init__(self, state: Any) -> None:
        from flax import nnx

        # Paths stay distinct: flax refuses nodes that mix strings and numbers.
        self.variables = {
            tuple(str(part) for part in path): (path, variable)
            for path, variable in nnx.to_flat_state(state)
        }

    def to_dict(self, state: Any) -> dict[str, Any]:
        """The values of these variables in ``state``; others there are left out."""
        from flax import nnx

        found = dict(nnx.to_flat_state(state))
        tree: dict[str, Any] = {}
        for names, (path, _) in self.variables.items():
            node = tree
            for name in names[:-1]:
                node = node.setdefault(name, {})
            node[names[-1]] = _value(found[path])
        return tree

    def to_state(self, tree: dict[str, Any], what: str) -> Any:
        """The inverse: new variables that hold the values of ``tree``."""
        from flax import nnx

        flat = []
        for names, (path, variable) in self.variables.items():
            node: Any = tree
            for name in names:
                if not isinstance(node, dict) or name not in node:
                    raise InputError(
                        f"{what} do not fit the module: {'/'.join(names)} is missing"
                    )
                node = node[name]
            boxed = hasattr(variable, "get_value")
            flat.append((path, variable.copy(node) if boxed else node))
        return nnx.from_flat_state(flat)


def from_nnx(build: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
    """A flax nnx module as pure functions of plain dicts.

    The module is built once without memory (``nnx.eval_shape``) to learn its graph;
    each ``apply`` merges fresh variables into a copy of it, so nothing that a call
    changes is seen by the next. Only variables of type ``nnx.Param`` are parameters
    and receive gradients; every other variable is in ``model_state``.

    Dropout: a module whose ``__call__`` takes ``rngs`` receives
    ``nnx.Rngs(dropout=key)``, in evaluation ``None`` where it has no default; pass it
    to ``nnx.Dropout`` as ``rngs=``. All passes
    of a step then share one mask, and shards and devices have their own. A module
    that holds its own random stream works too: the key and count are in
    ``model_state``, the count moves on with each training step, and ``key`` is not
    used by it.

    Training and evaluation mode are set by ``module.train()`` and ``module.eval()``,
    attributes called ``training`` and ``is_training`` with them; a ``__call__`` that
    takes ``train``, ``training``, ``is_training``, ``is_train``, ``deterministic`` or
    ``use_running_average`` receives the mode too. Variables that appear during a call
    (``sow``) are dropped.

    Args:
      build: makes the module from its random streams: ``lambda rngs: Net(rngs=rngs)``.

    Returns:
      The functions. Entries of ``nnx.List`` are named ``"0"``, ``"1"``, ...

    Raises:
      InputError: ``build`` gives something else than a module; its ``__call__`` has an
        argument that looks like a mode under another name; parameters or state passed
        to ``apply`` lack an entry (named).

    >>> from flax import nnx
    >>> model = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
    >>> params, model_state = jax.jit(model.init)(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, params), model_state
    ({'bias': (2,), 'kernel': (3, 2)}, {})
    >>> outputs, _ = model.apply(params, model_state, jnp.ones((5, 3)), train=False)
    >>> outputs.shape
    (5, 2)
    """
    from flax import nnx

    module = nnx.eval_shape(lambda: build(nnx.Rngs(jax.random.key(0))))
    if not isinstance(module, nnx.Module):
        raise InputError(
            f"build must return a flax nnx module; got {type(module).__name__}"
        )
    graphdef, abstract_params, abstract_state = nnx.split(module, nnx.Param, ...)
    param_layout, state_layout = _Layout(abstract_params), _Layout(abstract_state)
    call = type(module).__call__
    check_mode_names(type(module).__name__, call)
    rngs_argument = inspect.signature(call).parameters.get("rngs")
    takes_rngs = rngs_argument is not None
    needs_rngs = takes_rngs and rngs_argument.default is rngs_argument.empty

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        _, params, state = nnx.split(build(nnx.Rngs(key)), nnx.Param, ...)
        return param_layout.to_dict(params), state_layout.to_dict(state)

    def apply(
        params: Params,
        model_state: ModelState,
        inputs: Any,
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[Any, ModelState]:
        model = nnx.merge(
            graphdef,
            param_layout.to_state(params, "the parameters"),
            state_layout.to_state(model_state, "the model state"),
            copy=True,
        )
        model.train() if train else model.eval()
        flags = dict.fromkeys(FLAGS, train)
        model.set_attributes(**flags, raise_if_not_found=False)
        options = mode_of(call, train)
        if takes_rngs and train and key is not None:
            options["rngs"] = nnx.Rngs(dropout=key)
        elif needs_rngs:
            options["rngs"] = None
        outputs = model(inputs, **options)  # pyright: ignore[reportCallIssue]
        if not train or not model_state:
            return outputs, model_state
        return outputs, _keep_dtypes(
            state_layout.to_dict(nnx.state(model)), model_state
        )

    return Functional(init, apply)


def from_linen(module: linen.Module, sample_inputs: Any) -> Functional:
    """A flax linen module as pure functions of plain dicts.

    The collection ``params`` is the parameters; all others (``batch_stats``, ...)
    are ``model_state`` and mutable in training. ``key`` is passed as
    ``rngs={"dropout": key}``; a ``__call__`` that takes ``train``, ``training``,
    ``is_training``, ``is_train``, ``deterministic`` or ``use_running_average`` receives
    the mode, or the field of this name where the module has one, or a dataclass among
    its fields (``config.deterministic``); others are called with the inputs alone.

    Args:
      module: the module.
      sample_inputs: arrays, or structs of ``jax.ShapeDtypeStruct``, of the shape and
        dtype of the inputs. Only shapes and dtypes are used.

    Returns:
      The functions.

    Raises:
      InputError: ``__call__`` has an argument that looks like a mode under another
        name; at the call, the module draws random numbers and got no ``key``, or a
        training call changed the structure of the state (``sow`` into a collection
        that ``init`` made).

    >>> from flax import linen
    >>> model = from_linen(linen.Dense(2), jnp.zeros((1, 3)))
    >>> params, model_state = jax.jit(model.init)(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, params), model_state
    ({'bias': (2,), 'kernel': (3, 2)}, {})
    """
    from flax import errors
    from flax.linen import Module, meta

    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x), x.dtype), sample_inputs
    )
    call = type(module).__call__
    check_mode_names(type(module).__name__, call)
    fields = set(type(module).__dataclass_fields__) - set(mode_of(call, True))
    # Settings of a module in an object of their own; modules have modes themselves.
    configs = {
        name: value
        for name in fields - {"parent"}
        if not isinstance(value := getattr(module, name, None), Module)
        and with_mode(value, True) is not value
    }

    def in_mode(train: bool) -> linen.Module:
        mode = {k: v for k, v in modes(train).items() if k in fields}
        mode |= {name: with_mode(value, train) for name, value in configs.items()}
        return module.clone(**mode) if mode else module

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        rngs = {"params": key, "dropout": jax.random.fold_in(key, 1)}
        inputs = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        variables = dict(
            meta.unbox(in_mode(False).init(rngs, inputs, **mode_of(call, False)))
        )
        params = variables.pop("params", {})
        return params, variables

    def apply(
        params: Params,
        model_state: ModelState,
        inputs: Any,
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[Any, ModelState]:
        variables = {"params": params, **model_state}
        rngs = {"dropout": key} if train and key is not None else None
        mutable = list(model_state) if train else []
        try:
            outputs, state = in_mode(train).apply(
                variables, inputs, rngs=rngs, mutable=mutable, **mode_of(call, train)
            )
        except errors.InvalidRngError as error:
            raise InputError(
                f"{type(module).__name__} draws random numbers and apply got no "
                "stream for them; pass key= with train=True (it feeds 'dropout')"
            ) from error
        if not mutable:
            return outputs, model_state
        state = dict(meta.unbox(state))
        if jax.tree.structure(state) != jax.tree.structure(model_state):
            raise InputError(
                f"a training call of {type(module).__name__} changed the structure "
                "of its state; sow only into 'intermediates'"
            )
        return outputs, _keep_dtypes(state, model_state)

    return Functional(init, apply)
