"""Evaluation parameters of methods that train perturbed or fast weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.boxes import unboxed
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.masking import is_masked
from jaxopt_lab.core.typing import Params


@runtime_checkable
class HasEvalParams(Protocol):
    """State of a method whose evaluation parameters differ from the trained ones."""

    def eval_params(self, params: Params) -> Params:
        """The parameters to evaluate at, from the ones that are trained."""
        ...


def eval_params(params: Params, state: Any) -> Params:
    """The parameters to evaluate, export and average.

    ``momentum_sam``, ``stale_sam`` and ``bsam`` keep the parameters at a perturbed
    point, so that one gradient a step is enough; ``lookahead`` keeps the fast weights,
    ``optax.contrib.schedule_free`` the points of its gradients.

    Args:
      params: the parameters of the training; ``nnx.state(model, nnx.Param)`` of a flax
        nnx model.
      state: the optimizer's state; the method's own may stand anywhere in it, inside
        a chain, ``inject_hyperparams``, ``masked``, or in several groups of
        ``partition``. A train state and an ``nnx.Optimizer`` are taken too.

    Returns:
      Parameters of the same structure; ``params`` itself where no part of the state
      says otherwise.

    Raises:
      InputError: the arguments are swapped, the state is none of an optimizer (such as
        ``nnx.state(optimizer)``, in which its types are lost), it is that of other
        parameters, several parts of it speak of one parameter, or the perturbation is
        stored as codes (``quantize_state``).

    >>> import jax.numpy as jnp, optax, jaxopt_lab
    >>> tx = jaxopt_lab.momentum_sam(optax.sgd(0.1, momentum=0.9), rho=0.5)
    >>> w, state = jnp.array(1.0), tx.init(jnp.array(1.0))
    >>> updates, state = tx.update(jnp.array(2.0), state, w)
    >>> w = optax.apply_updates(w, updates)  # 1 - 0.1 * 2, and 0.5 further
    >>> round(float(w), 4), round(float(eval_params(w, state)), 4)
    (0.3, 0.8)
    """
    if _is_state(params):
        raise InputError(
            "eval_params(params, state) got the state of an optimizer for params; are "
            "the two swapped?"
        )
    if not isinstance(state, Mapping) and hasattr(state, "opt_state"):
        state = state.opt_state  # a train state, an nnx.Optimizer
    nodes = _nodes(unboxed(state))
    if not nodes and _has_lost_types(state):
        raise InputError(
            f"state is no state of an optimizer but a {type(state).__name__} in which "
            "the types of its parts are lost; pass opt_state as tx.init made it, or "
            "the nnx.Optimizer itself"
        )
    plain = unboxed(params)
    taken, result = set(), jax.tree.leaves(plain)
    for node in nodes if result else ():
        for i, leaf in _evaluated(node, plain).items():
            if i in taken:
                kinds = ", ".join(type(node).__name__ for node in nodes)
                raise InputError(
                    f"the state has several parameters to evaluate at: {kinds}"
                )
            taken.add(i)
            result[i] = leaf
    if not taken:
        return params
    return jax.tree.unflatten(jax.tree.structure(params), result)


def refuse_inside(wrapper: str, inner_state: Any) -> None:
    """Refuse an inner optimizer that keeps other parameters to evaluate.

    Args:
      wrapper: name of the wrapper.
      inner_state: state of its inner optimizer.

    Raises:
      InputError: it has evaluation parameters: the wrapper would move the parameters
        without their perturbation following.
    """
    for node in _nodes(inner_state):
        raise InputError(
            f"{wrapper} cannot own an optimizer that trains other parameters than "
            f"those to evaluate; the inner one has a {type(node).__name__}. Put "
            f"{wrapper} inside of it"
        )


def _speaks(node: Any) -> bool:
    free = optax.contrib.ScheduleFreeState
    return isinstance(node, HasEvalParams | free) and not isinstance(node, type)


def _nodes(state: Any) -> list[Any]:
    """The parts of a state that have evaluation parameters."""
    found = jax.tree.leaves(_without_scales(state), is_leaf=_speaks)
    return [x for x in found if _speaks(x)]


def _without_scales(state: Any) -> Any:
    """The state without the trees of scales that ``quantize_state`` keeps beside it."""

    def coded(x: Any) -> bool:
        return {"inner", "scales", "offsets"} <= set(getattr(x, "_fields", ()))

    def stored(x: Any) -> Any:
        return _without_scales(x.inner) if coded(x) else x

    return jax.tree.map(stored, state, is_leaf=lambda x: coded(x) or _speaks(x))


def _is_state(params: Any) -> bool:
    """Whether this is the state of an optimizer, found by a type of optax or ours."""

    def typed(x: Any) -> bool:
        room = type(x).__module__.partition(".")[0]
        return hasattr(x, "_fields") and room in ("optax", "jaxopt_lab")

    return any(map(typed, jax.tree.leaves(params, is_leaf=typed)))


def _has_lost_types(state: Any) -> bool:
    def typed(x: Any) -> bool:
        return hasattr(x, "_fields")

    found = jax.tree.leaves(state, is_leaf=typed)
    return isinstance(state, Mapping) and bool(found) and not any(map(typed, found))


def _names(tree: Any) -> list[str]:
    paths = trees.leaves_with_path(tree, is_leaf=is_masked)
    return [trees.path_name(path) for path, _ in paths]


def _evaluated(node: Any, params: Params) -> dict[int, Any]:
    """Evaluation parameters of one part of the state, by the number of the leaf.

    Inside ``masked`` and ``partition`` its trees have holes; the parameters get the
    same ones before the node is asked.
    """
    names, structure = _names(params), jax.tree.structure(params)

    def alike(x: Any) -> bool:
        return _names(x) == names

    beside = jax.tree.leaves(node, is_leaf=lambda x: alike(x) or is_masked(x))
    rows = [jax.tree.leaves(t, is_leaf=is_masked) for t in beside if alike(t)]
    _refuse_codes(node, alike)
    if names and not rows:
        raise InputError(
            "params are not those of the state: no part of the "
            f"{type(node).__name__} has the leaves {', '.join(names[:4])}"
            + (", ..." if len(names) > 4 else "")
        )
    columns = list(zip(*rows, strict=True))
    holes = [any(map(is_masked, column)) for column in columns]
    leaves = jax.tree.leaves(params)

    def fitted(x: Any) -> Any:
        if not alike(x):
            return x
        return structure.unflatten(jax.tree.leaves(x, is_leaf=is_masked))

    node = jax.tree.map(fitted, node, is_leaf=lambda x: alike(x) or is_masked(x))
    hollow = [
        optax.MaskedNode() if h else p for h, p in zip(holes, leaves, strict=True)
    ]
    partial = structure.unflatten(hollow)
    if isinstance(node, HasEvalParams):
        told = node.eval_params(partial)
    else:
        refuse_inside("schedule_free", node.base_optimizer_state)
        told = optax.contrib.schedule_free_eval_params(node, partial)
    found = jax.tree.leaves(told, is_leaf=is_masked)
    return {i: x for i, x in enumerate(found) if not is_masked(x)}


def _refuse_codes(node: Any, alike: Callable[[Any], bool]) -> None:
    """Refuse whole numbers in a tree of the node itself, beside its inner states."""
    for name in getattr(node, "_fields", ()):
        tree = getattr(node, name)
        if alike(tree) and any(
            x.ndim and jnp.issubdtype(x.dtype, jnp.integer)
            for x in jax.tree.leaves(tree)
        ):
            raise InputError(
                f"{name} of the {type(node).__name__} is stored as codes by "
                "quantize_state, which eval_params cannot decode: leave it as it is "
                "(select=)"
            )
