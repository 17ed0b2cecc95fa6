"""Gradient functions that know their batch, and decorators of them.

A transformation that needs the gradient at other parameters than the present ones
takes a function ``grad_fn(params)`` or ``grad_fn(params, i=0)``. ``batch_grad`` makes
one that can do more: it can be cut into shards (mSAM, per-device perturbations), it
averages over devices, and it accumulates micro-batches, so that no transformation has
to know about these.
``MappedGradFn`` changes the parameters and gradients of any such function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.typing import DTypeLike

from jaxopt_lab.core import checks, loops, placement
from jaxopt_lab.core.argument_checks import check_function
from jaxopt_lab.core.batch_gradients import BatchGrad
from jaxopt_lab.core.batch_parts import Weights
from jaxopt_lab.core.loss_checks import loss_and_aux
from jaxopt_lab.core.plain_gradients import PlainGradFn
from jaxopt_lab.core.typing import (
    Batch,
    GradFn,
    LossFn,
    Params,
    PyTree,
    Shards,
    Updates,
)


def batch_grad(
    loss_fn: LossFn,
    batch: Batch,
    *,
    has_aux: bool = False,
    axis_name: str | None = None,
    micro_batches: int = 1,
    micro_loop: str = "auto",
    example_losses: LossFn | None = None,
    reduce_dtype: DTypeLike | None = None,
    weights: Weights | None = None,
) -> BatchGrad:
    """The gradient function of a loss on one batch.

    The result is called like any gradient function, ``grad_fn(params, i=0)``, and
    knows its batch besides: ``grad_fn.shard(m)(params, j)`` is the gradient of the
    j-th of m equal shards, ``grad_fn.shard(m).mean(f, mode)`` the mean over the
    shards of ``f(grad)``, ``grad_fn.shard(m).mean_gradient(point, mode)`` that of
    ``grad(point(grad))``, ``grad_fn.mean(tree)`` the mean over the devices' axis.
    ``(loss, aux), grads = grad_fn.value_and_grad(params)`` is the first pass of a step;
    a link that asks for the gradient at the same parameters gets it for nothing.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, a mean over the examples. For
        dropout, close over a key: all passes of a step should see the same one.
      batch: tree of arrays with a common leading axis, the examples.
      has_aux: ``loss_fn`` returns ``(loss, aux)``; ``aux`` is then
        what ``value_and_grad`` gives beside the loss, and ``()`` otherwise.
      axis_name: axis of ``pmap`` or ``shard_map`` (``check_vma`` on or off) over
        which gradients are averaged; ``batch`` is then this device's part.
      micro_batches: pass over the batch in this many equal parts, holding the
        activations of one at a time.
      micro_loop: ``"scan"``, ``"unroll"``, or ``"auto"``: unrolled on CPU if the
        loss contains convolutions, since they are 20 to 40 times slower in a scan.
      example_losses: ``example_losses(params, batch) -> (examples,)``, for links that
        select examples (``esam``); ``loss_fn`` is the mean of these.
      reduce_dtype: floating type in which gradients are sent over the axis, such as
        ``"bfloat16"``; ``None``: their own. Losses are sent as they are.
      weights: key of the batch, or function of it, that gives the weight of each
        example (or of each token), such as the mask over which ``loss_fn`` takes its
        mean. Micro-batches, shards and devices then count by the sums of their
        weights; without it each counts the same, and a mean over a mask is no mean
        over the whole mask (a part that is all padding gives NaN).

    Returns:
      A ``BatchGrad``. Of complex parameters it gives the direction of steepest ascent,
      the conjugate of ``jax.grad``, which is what optax takes.

    Raises:
      InputError: the batch is not divisible; the loss is no real scalar, or comes with
        more than ``has_aux`` says; the batch has no such weights.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((x * w) ** 2)
    >>> grad_fn = batch_grad(loss, jnp.array([1.0, 3.0]))
    >>> float(grad_fn(jnp.array(1.0))), float(grad_fn.shard(2)(jnp.array(1.0), 1))
    (10.0, 18.0)
    """
    check_function("loss_fn", loss_fn)

    def evaluate(params: Params, batch: Batch, key: Any) -> tuple[jax.Array, PyTree]:
        del key
        result = loss_fn(params, batch)
        return loss_and_aux(result) if has_aux else (result, ())

    return BatchGrad(
        evaluate,
        batch,
        axis_name=axis_name,
        micro_batches=micro_batches,
        micro_loop=micro_loop,
        example_losses=example_losses,
        reduce_dtype=reduce_dtype,
        weights=weights,
    )


class MappedGradFn:
    """A gradient function with other parameters, other gradients, or other calls.

    ``grads(params) = on_grads(wrap(inner)(on_params(params)), params)``; the shards of
    ``inner`` and the gradients of some of its examples are mapped alike. Beyond the
    call it has the members of ``inner`` and no others: a transformation asks by
    ``hasattr`` whether a gradient function knows its batch.

    Args:
      inner: the gradient function; a plain one (``as_grad_fn``), or one that knows its
        batch.
      on_params: parameters of the call to those of ``inner``.
      on_grads: ``on_grads(grads, params)``, gradients of ``inner`` and the parameters
        of the call to the gradients returned.
      on_updates: updates that a transformation is given to those of the step, which
        ``inner.on_transform`` compares by identity.
      wrap: the function to call instead of a function of ``inner``, with the same
        arguments; losses of examples go through it as well.
      fills_masks: whether ``on_params`` fills the holes that ``optax.masked`` leaves.

    Gradient evaluations and memory: those of ``inner``.

    >>> slope = lambda w, i=0: 2.0 * w
    >>> float(MappedGradFn(slope, on_grads=lambda grads, _: 2 * grads)(1.5))
    6.0
    """

    def __init__(
        self,
        inner: GradFn,
        *,
        on_params: Callable[[Params], Params] | None = None,
        on_grads: Callable[[Updates, Params], Updates] | None = None,
        on_updates: Callable[[Updates], Updates] | None = None,
        wrap: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
        fills_masks: bool = False,
    ):
        self._inner = as_grad_fn(inner)
        self._on_params = on_params or (lambda params: params)
        self._on_grads = on_grads or (lambda grads, params: grads)
        self._on_updates = on_updates or (lambda updates: updates)
        self._wrap = wrap or (lambda fn: fn)
        self.fills_masks = fills_masks or getattr(inner, "fills_masks", False)

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        return self.mapped(self._inner)(params, i)

    def mapped(self, fn: Callable[..., Updates]) -> Callable[..., Updates]:
        """``fn(params, *rest) -> grads`` with its parameters and gradients mapped."""
        wrapped = self._wrap(fn)

        def call(params: Params, *rest: Any) -> Updates:
            return self._on_grads(wrapped(self._on_params(params), *rest), params)

        return call

    def _on_device(self, found: Callable[..., Any], params: Params) -> Updates | None:
        grads = self._wrap(found)(self._on_params(params))
        return None if grads is None else self._on_grads(grads, params)

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # not there yet, while an instance is being copied
            raise AttributeError(name)
        found = getattr(self._inner, name)
        if name == "shard":
            return lambda num_shards: _MappedShards(self, found(num_shards))
        if name == "on_examples":
            return self.mapped(found)
        if name == "on_device":
            return lambda params: self._on_device(found, params)
        if name == "example_losses":
            return lambda params: self._wrap(found)(self._on_params(params))
        if name == "on_transform":
            return lambda transform, updates, params: found(
                transform, self._on_updates(updates), params
            )
        return found


class _MappedShards:
    """The shards of a ``MappedGradFn``."""

    def __init__(self, whole: MappedGradFn, shards: Shards):
        self._whole = whole
        self._shards = shards

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        return self._whole.mapped(self._shards)(params, j)

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.ModeOrAuto = "unroll",
    ) -> PyTree:
        return self._shards.mean(lambda grad: f(self._whole.mapped(grad)), mode)

    def mean_gradient(
        self,
        point: Callable[[Callable[[Params], Updates]], Params],
        mode: loops.ModeOrAuto = "unroll",
    ) -> Updates:
        # The gradients are mapped one by one: no sum can be made in their place.
        return self.mean(lambda grad: grad(point(grad)), mode)


def as_grad_fn(grad_fn: Callable[..., Updates]) -> GradFn:
    """Any gradient function of a user as ``grad_fn(params, i=0)``.

    Args:
      grad_fn: one that knows its batch; or a plain function of the parameters, with or
        without an argument ``i``, which receives the number of the pass.

    Returns:
      The function itself where it knows its batch, else a ``PlainGradFn``.

    Raises:
      InputError: it is no function, or needs other arguments.

    >>> as_grad_fn(lambda params: 2 * params)(1.5, 3)
    3.0
    """
    if isinstance(grad_fn, MappedGradFn | PlainGradFn) or hasattr(grad_fn, "shard"):
        return grad_fn
    return PlainGradFn(grad_fn)


def enter_transform(
    transform: str,
    updates: Updates,
    params: Params | None,
    grad_fn: GradFn | None,
    given: str | None = "the direction of the ascent",
    axis_name: str | None = None,
    *,
    gives_gradient: bool = True,
) -> tuple[Params, GradFn]:
    """Check what a gradient transformation is given, and where it stands.

    A gradient function with a member ``on_transform(transform, updates, params)`` is
    told: one that ``batch_grad`` has made answers whether these are its own gradients
    or another transformation has changed them. For others the chain around shows it.

    Args:
      transform: name of the transformation.
      updates: the gradients that it is given.
      params: the ``params`` argument of its update.
      grad_fn: the ``grad_fn`` argument of its update.
      given: use that it makes of ``updates``, for the warning; ``None``: none.
      axis_name: the devices' axis, if ``updates`` were averaged over one by the caller:
        ``grad_fn`` has then not given them.
      gives_gradient: False for wrappers and optimizers, which give the update.

    Returns:
      ``(params, grad_fn)``, both present; a plain function as a ``PlainGradFn``.

    Raises:
      InputError: one is missing, ``grad_fn`` is no gradient function, or
        ``optax.MultiSteps``, ``optax.masked`` or ``optax.partition`` stands around the
        transformation.

    Warns:
      UserWarning: another transform stands in front of this one.
    """
    params, grad_fn = checks.require_grad_fn(transform, params, grad_fn)
    grad_fn = as_grad_fn(grad_fn)
    placement.refuse_accumulation(transform)
    if isinstance(grad_fn, PlainGradFn):
        # It may call one that fills them: only its failure tells.
        grad_fn = grad_fn.telling(
            functools.partial(placement.refuse_holes, transform, params)
        )
    elif not getattr(grad_fn, "fills_masks", False):
        placement.refuse_holes(transform, params)
    on_transform = getattr(grad_fn, "on_transform", None)
    if on_transform is None or axis_name is not None:
        changed = placement.in_front()
    else:
        changed = on_transform(transform, updates, params)
    if changed:
        placement.warn_in_front(transform, given, gives_gradient=gives_gradient)
    return params, grad_fn
