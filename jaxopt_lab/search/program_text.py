"""Programs of JAX as text, and back: one text for all networks, for predictors."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError

_ARROW = " --> "
_INLINED = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Operation(NamedTuple):
    """One operation of a program.

    Attributes:
      name: of the primitive.
      operands: names of values, or texts of constants, which begin with ``#``.
      settings: all of its parameters, sorted.
      results: names of its values.
      types: of these, such as ``float32[2,3]``.
    """

    name: str
    operands: tuple[str, ...]
    settings: str
    results: tuple[str, ...]
    types: tuple[str, ...]


class ProgramGraph(NamedTuple):
    """A program as operations in an order in which they can run.

    Attributes:
      inputs: names and types.
      operations: each once.
      outputs: names of values, or texts of constants.
    """

    inputs: tuple[tuple[str, str], ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def program_graph(fn: Callable[..., Any], *args: Any) -> ProgramGraph:
    """The operations of a function, calls inside of it written out.

    Args:
      fn: the function.
      *args: its arguments, or ``jax.ShapeDtypeStruct`` trees.

    Returns:
      The graph; functions with derivatives of their own are their bodies, and values
      that nothing reads are left out. Bodies of loops and branches stay in the settings
      of their operation. Arrays that the function closes over are told apart by a
      checksum.

    >>> double = lambda x: jax.jit(lambda y: y + y)(x)
    >>> graph = program_graph(double, jax.ShapeDtypeStruct((2,), "float32"))
    >>> [operation.name for operation in graph.operations]
    ['add']
    """
    closed = jax.make_jaxpr(fn)(*args)
    names: dict[Any, str] = {}
    for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        names[var] = _constant(value)
    inputs = []
    for i, var in enumerate(closed.jaxpr.invars):
        names[var] = f"in{i}"
        inputs.append((names[var], var.aval.str_short(short_dtypes=False)))
    operations = list(_operations(closed.jaxpr, names, iter(range(10**9))))
    outputs = tuple(_operand(v, names) for v in closed.jaxpr.outvars)
    read, kept = set(outputs), []
    for operation in reversed(operations):
        if read.intersection(operation.results):
            kept.append(operation)
            read.update(operation.operands)
    return ProgramGraph(tuple(inputs), tuple(reversed(kept)), outputs)


def _operations(
    jaxpr: Any, names: dict[Any, str], numbers: Iterator[int]
) -> Iterator[Operation]:
    for eqn in jaxpr.eqns:
        operands = tuple(_operand(v, names) for v in eqn.invars)
        inner = next((eqn.params[n] for n in _INNER if n in eqn.params), None)
        if eqn.primitive.name in _INLINED and inner is not None:
            body = getattr(inner, "jaxpr", inner)
            inside = dict(zip(body.invars, operands, strict=True))
            consts = getattr(inner, "consts", ())
            inside |= zip(body.constvars, map(_constant, consts), strict=True)
            yield from _operations(body, inside, numbers)
            for out, var in zip(eqn.outvars, body.outvars, strict=True):
                names[out] = _operand(var, inside)
            continue
        results = tuple(f"%{next(numbers)}" for _ in eqn.outvars)
        names.update(zip(eqn.outvars, results, strict=True))
        types = tuple(v.aval.str_short(short_dtypes=False) for v in eqn.outvars)
        settings = ", ".join(
            f"{n}={_setting(v)}"
            for n, v in sorted(eqn.params.items())
            if not callable(v) or isinstance(v, type)
        )
        yield Operation(eqn.primitive.name, operands, settings, results, types)


def _operand(v: Any, names: dict[Any, str]) -> str:
    return _constant(v.val) if hasattr(v, "val") else names[v]


def _constant(value: Any) -> str:
    array = np.asarray(value)
    kind = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    if array.ndim:
        return f"#{kind}:{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"
    return f"#{kind}:{array.item()!r}"


def _setting(value: Any) -> str:
    return " ".join(_ADDRESS.sub("", str(value)).split()).replace(_ARROW, " -> ")


def graph_text(graph: ProgramGraph) -> str:
    """A graph as text, equal for equal computations whatever their values are called.

    Operations of one value each that follow one another stand in one line, with arrows
    between. A value has a name if it is read more than once, or by an operation of
    several values, or returned.

    Args:
      graph: of ``program_graph``.

    Returns:
      Lines: inputs, chains, and the outputs. All settings and types are in it.

    >>> f = lambda x: jax.lax.neg(jax.lax.sin(x)) + x
    >>> print(program_text(f, jax.ShapeDtypeStruct((2,), "float32")))
    in0: float32[2]
    v0 = sin(in0)(accuracy=None):float32[2] --> neg(_)():float32[2]
    v1 = add(v0, in0)():float32[2]
    out v1
    """
    uses = Counter(o for op in graph.operations for o in op.operands)
    uses.update(dict.fromkeys(graph.outputs, 2))
    makers = {r: op for op in graph.operations for r in op.results}
    inside: set[str] = set()
    for op in graph.operations:
        values = [o for o in op.operands if not o.startswith("#")]
        if len(values) == 1 and values[0] in makers:
            value = values[0]
            if uses[value] == 1 and len(makers[value].results) == 1:
                inside.add(value)
    names = {name: name for name, _ in graph.inputs}
    chains: dict[str, list[str]] = {}
    lines = [f"{name}: {kind}" for name, kind in graph.inputs]
    count = 0
    for op in graph.operations:
        before = next((chains.pop(o) for o in op.operands if o in chains), [])
        operands = ("_" if o in inside else names.get(o, o) for o in op.operands)
        types = ",".join(op.types) if len(op.types) == 1 else f"{'|'.join(op.types)}"
        part = f"{op.name}({', '.join(operands)})({op.settings}):{types}"
        chain = [*before, part]
        if len(op.results) == 1 and op.results[0] in inside:
            chains[op.results[0]] = chain
            continue
        for result in op.results:
            names[result] = f"v{count}"
            count += 1
        left = ", ".join(names[r] for r in op.results)
        lines.append(f"{left} = {_ARROW.join(chain)}")
    outputs = ", ".join(names.get(o, o) for o in graph.outputs)
    return "\n".join([*lines, f"out {outputs}"])


_PART = re.compile(r"(?P<name>[\w\-]+)\((?P<operands>[^()]*(?:\([^()]*\)[^()]*)*)\)\(")


def text_graph(text: str) -> ProgramGraph:
    """The graph of a text, from which ``graph_text`` makes the same text.

    Args:
      text: of ``graph_text``.

    Returns:
      The graph; its operations are in the order of the text.

    Raises:
      InputError: the text is none of ``graph_text``.

    >>> text = program_text(lambda x: x * 2 + x, jax.ShapeDtypeStruct((2,), "float32"))
    >>> graph_text(text_graph(text)) == text
    True
    """
    inputs, operations, outputs, count = [], [], None, 0
    for line in text.splitlines():
        if line.startswith("out "):
            outputs = tuple(line.removeprefix("out ").split(", "))
        elif re.match(r"in\d+: ", line):
            name, _, kind = line.partition(": ")
            inputs.append((name, kind))
        else:
            left, equals, chain = line.partition(" = ")
            if not equals:
                raise InputError(f"no line of a program: {line[:60]!r}")
            parts, before = chain.split(_ARROW), ""
            for i, part in enumerate(parts):
                name, operands, settings, types = _parsed(part)
                results = tuple(left.split(", "))
                if i + 1 < len(parts):
                    results = (f"%{count}",)
                    count += 1
                own = tuple(before if o == "_" else o for o in operands)
                operations.append(Operation(name, own, settings, results, types))
                before = results[0]
    if outputs is None:
        raise InputError("the text of a program ends with its outputs; got none")
    return ProgramGraph(tuple(inputs), tuple(operations), outputs)


def _parsed(part: str) -> tuple[str, tuple[str, ...], str, tuple[str, ...]]:
    found = _PART.match(part)
    rest, colon, types = part.rpartition("):")
    if found is None or not colon:
        raise InputError(f"no operation: {part[:60]!r}")
    operands = tuple(o for o in found["operands"].split(", ") if o)
    return found["name"], operands, rest[found.end() :], tuple(types.split("|"))


def program_text(fn: Callable[..., Any], *args: Any) -> str:
    """The text of a function: ``graph_text`` of its ``program_graph``.

    Args:
      fn: the function.
      *args: its arguments, or ``jax.ShapeDtypeStruct`` trees.

    Returns:
      The text. The encoding of ONNX-Net leaves out settings that are single numbers,
      and the first operand of some chains, so that different networks have one text;
      this one has all of them.

    Source: the idea of ONNX-Net, 2025, whose texts are those of ONNX graphs; this form
    is ours.

    >>> program_text(lambda x: x, jax.ShapeDtypeStruct((2,), "float32"))
    'in0: float32[2]\\nout in0'
    """
    return graph_text(program_graph(fn, *args))


_TOKEN = re.compile(r"[A-Za-z_]+|\d+|[^\sA-Za-z_\d]")


def hashed_ngrams(text: str, size: int = 4096, longest: int = 3) -> np.ndarray:
    """Counts of the runs of tokens of a text, for a predictor.

    Args:
      text: any.
      size: length of the result; two runs may share a place.
      longest: tokens of the longest run.

    Returns:
      ``(size,)`` float32 of norm 1; zeros for an empty text.

    Raises:
      InputError: a size is below 1.

    >>> hashed_ngrams("a a", size=8, longest=1).max().item()
    1.0
    """
    check_integer("size", size, low=1)
    check_integer("longest", longest, low=1)
    tokens, found = _TOKEN.findall(text), np.zeros(size)
    for n in range(1, longest + 1):
        for i in range(len(tokens) - n + 1):
            run = "\x00".join(tokens[i : i + n]).encode()
            found[zlib.crc32(run) % size] += 1
    norm = np.linalg.norm(found)
    return (found / norm if norm else found).astype(np.float32)
