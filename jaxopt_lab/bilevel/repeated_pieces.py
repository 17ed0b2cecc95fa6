"""A long program in pieces, of which equal ones are differentiated once.

An update has the same few equations for every leaf, and jax differentiates a program
equation by equation. Only of a nested ``jit`` does it keep the derivative, as of the
functions of ``jax.numpy``, whose borders a trace forgets. Here neighbouring equations
that hang together become one function again, equal ones the same. Order and equations
are unchanged, and no border is left in what is compiled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import eval_jaxpr
from jax.extend import core


class _Piece(NamedTuple):
    """Some neighbouring equations.

    Attributes:
      eqns: the equations.
      inputs: what they read from before.
      outputs: what is read after them.
      key: equal for equal programs; ``None`` if unknown.
    """

    eqns: list[Any]
    inputs: list[Any]
    outputs: list[Any]
    key: Hashable


def in_pieces(closed: core.ClosedJaxpr, inline: Any) -> Callable[..., list[Any]]:
    """The program as a function for use under ``jit``.

    Args:
      closed: any program.
      inline: option of ``jax.jit`` with which a trace forgets the border of a call.

    Returns:
      ``f(*arrays) -> arrays``, as ``jax.extend.core.jaxpr_as_fun`` gives it.
    """
    jaxpr = closed.jaxpr
    pieces = _cut(jaxpr)
    counts = Counter(piece.key for piece in pieces if piece.key is not None)
    functions: dict[Hashable, Callable[..., list[Any]]] = {}
    steps = []
    for piece in _joined(jaxpr, pieces, lambda piece: counts[piece.key] > 1):
        if piece.key is None:
            run = _function(jaxpr, piece)
        else:
            if piece.key not in functions:
                run = jax.jit(_function(jaxpr, piece), inline=inline)
                functions[piece.key] = run
            run = functions[piece.key]
        steps.append((run, piece.inputs, piece.outputs))

    def evaluate(*arrays: Any) -> list[Any]:
        values = dict(zip(jaxpr.constvars, closed.consts, strict=True))
        values.update(zip(jaxpr.invars, arrays, strict=True))
        for run, inputs, outputs in steps:
            made = run(*[values[v] for v in inputs])
            values.update(zip(outputs, made, strict=True))
        return [
            v.val if isinstance(v, core.Literal) else values[v] for v in jaxpr.outvars
        ]

    return evaluate


def _function(jaxpr: Any, piece: _Piece) -> Callable[..., list[Any]]:
    inner = jaxpr.replace(
        constvars=[], invars=piece.inputs, outvars=piece.outputs, eqns=piece.eqns
    )
    return lambda *arrays: eval_jaxpr(inner, (), *arrays)


def _variables(atoms: Sequence[Any]) -> list[Any]:
    return [v for v in atoms if not isinstance(v, core.Literal)]


def _cut(jaxpr: Any) -> list[_Piece]:
    """Pieces: an equation that does not read the one before it begins the next."""
    groups: list[list[Any]] = []
    made: list[Any] = []
    for eqn in jaxpr.eqns:
        if not any(v is w for v in eqn.invars for w in made):
            groups.append([])
        groups[-1].append(eqn)
        made = eqn.outvars
    return _pieces(jaxpr, groups, _key)


def _pieces(
    jaxpr: Any, groups: list[list[Any]], key: Callable[[_Piece], Hashable]
) -> list[_Piece]:
    # From the end, where it is known what is read later.
    later = set(_variables(jaxpr.outvars))
    pieces = []
    for eqns in reversed(groups):
        made = [v for eqn in eqns for v in eqn.outvars]
        outputs = [v for v in made if v in later]
        read = dict.fromkeys(v for eqn in eqns for v in _variables(eqn.invars))
        own = set(made)
        inputs = [v for v in read if v not in own]
        piece = _Piece(eqns, inputs, outputs, None)
        pieces.append(piece._replace(key=key(piece)))
        later.update(inputs)
    return pieces[::-1]


def _joined(
    jaxpr: Any, pieces: list[_Piece], repeated: Callable[[_Piece], bool]
) -> list[_Piece]:
    """The pieces that repeat, and all between two of them as one without a key."""
    groups: list[list[Any]] = []
    keys: list[Hashable] = []
    for piece in pieces:
        if piece.key is not None and repeated(piece):
            groups.append(piece.eqns)
            keys.append(piece.key)
        elif keys and keys[-1] is None:
            groups[-1] = groups[-1] + piece.eqns
        else:
            groups.append(piece.eqns)
            keys.append(None)
    rest = iter(reversed(keys))
    return _pieces(jaxpr, groups, lambda piece: next(rest))


def _key(piece: _Piece) -> Hashable:
    """All that the program of a piece depends on, its variables by number."""
    numbers: dict[Any, int] = {}
    parts: list[Any] = [tuple(v.aval for v in piece.inputs)]
    for v in piece.inputs:
        numbers[v] = len(numbers)
    for eqn in piece.eqns:
        if eqn.effects:
            return None
        parts.append(eqn.primitive)
        parts.append(tuple(eqn.params.items()))
        parts.append(eqn.ctx)
        parts.append(eqn.source_info.name_stack)
        for v in eqn.invars:
            parts.append(_literal(v) if isinstance(v, core.Literal) else numbers[v])
        for v in eqn.outvars:
            numbers[v] = len(numbers)
            parts.append(v.aval)
    parts.append(tuple(numbers[v] for v in piece.outputs))
    key = tuple(parts)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _literal(x: core.Literal) -> Hashable:
    # By bytes: 0 and -0 are equal, NaN is unequal to itself.
    return x.aval, type(x.val), np.asarray(x.val).tobytes()
