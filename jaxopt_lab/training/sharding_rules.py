"""Sharding rules: partition specs of parameters by their paths."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import leaves_with_path, map_with_path, path_name
from jaxopt_lab.core.typing import Params, PyTree

Rules = Sequence[tuple[str, PartitionSpec]]


def parse_rules(text: str) -> Rules:
    """Rules from one line: ``"up/kernel=-,model; down/kernel=model"``.

    Args:
      text: rules separated by semicolons, each a regular expression, an equals sign
        and one entry for each axis of the array: ``-`` or the name of a mesh axis,
        or several names joined by ``+``. Axes beyond the entries are replicated.

    Returns:
      Pairs of expression and ``PartitionSpec``, in the order in which they are tried.

    Raises:
      InputError: a rule without an equals sign or with an expression that does not
        compile.

    >>> parse_rules("up/kernel=-,model")
    [('up/kernel', P(None, 'model'))]
    """
    rules = []
    for rule in filter(None, (part.strip() for part in text.split(";"))):
        pattern, equals, entries = rule.rpartition("=")
        if not equals:
            raise InputError(f"cannot read the rule {rule!r}; write regex=-,model")
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"{pattern!r} is no regular expression: {error}"
            ) from error
        rules.append((pattern, PartitionSpec(*map(_entry, entries.split(",")))))
    return rules


def _entry(text: str) -> str | tuple[str, ...] | None:
    names = tuple(name.strip() for name in text.split("+"))
    return None if names in (("-",), ("",)) else names[0] if len(names) == 1 else names


def param_specs(params: Params, rules: Rules, mesh: Mesh) -> PyTree:
    """The ``PartitionSpec`` of every parameter, by the first rule that its path fits.

    Args:
      params: arrays or their shapes.
      rules: pairs of a regular expression, searched for in the path
        (``blocks/0/up/kernel``), and the spec of the parameters it fits.
      mesh: the mesh whose axes the specs name.

    Returns:
      Specs in the structure of ``params``; parameters without a rule are
      replicated.

    Raises:
      InputError: a rule fits no parameter, names an axis that the mesh lacks or the
        same one twice, has more entries than the array has axes, or cuts an axis
        into parts that are not equal. jax itself silently replicates such an array in
        a sharding constraint.

    >>> from jaxopt_lab.training import make_mesh
    >>> rules = [("w", PartitionSpec("data"))]
    >>> param_specs({"w": np.ones((4, 2))}, rules, make_mesh("data:1"))
    {'w': P('data',)}
    """
    used: set[str] = set()

    def spec(path: Any, x: Any) -> PartitionSpec:
        name = path_name(path)
        for pattern, found in rules:
            if re.search(pattern, name):
                used.add(pattern)
                check_spec(name, np.shape(x), found, mesh)
                return found
        return PartitionSpec()

    specs = map_with_path(spec, params)
    for pattern, _ in rules:
        if pattern not in used:
            paths = [path_name(p) for p, _ in leaves_with_path(params)]
            shown = ", ".join(paths[:8]) + (", ..." if len(paths) > 8 else "")
            raise InputError(
                f"the sharding rule {pattern!r} fits no parameter, or an earlier rule "
                f"fits all of its own; the parameters are {shown}"
            )
    return specs


def check_spec(
    name: str, shape: Sequence[int], spec: PartitionSpec, mesh: Mesh
) -> None:
    """Refuse a spec that jax would drop or that an array cannot have.

    Args:
      name: the array's path, for the message.
      shape: its shape.
      spec: its spec.
      mesh: the mesh.

    Raises:
      InputError: as ``param_specs``.
    """
    if len(spec) > len(shape):
        raise InputError(
            f"{name} has shape {tuple(shape)}; the spec {spec} has {len(spec)} entries"
        )
    seen: list[str] = []
    for axis, entry in enumerate(spec):
        for one in axis_names(entry):
            if one not in mesh.shape:
                raise InputError(
                    f"{name}: the mesh has no axis {one!r}; its axes are "
                    + ", ".join(mesh.axis_names)
                )
            if one in seen:
                raise InputError(f"{name}: the spec {spec} names {one!r} twice")
            seen.append(one)
        parts = parts_of(entry, mesh)
        if shape[axis] % parts:
            raise InputError(
                f"{name}: axis {axis} of shape {tuple(shape)} cannot be cut into "
                f"{parts} equal parts ({spec})"
            )


def axis_names(entry: Any) -> tuple[str, ...]:
    """The mesh axes of one entry of a spec.

    Args:
      entry: ``None``, a name or several.

    Returns:
      Their names.
    """
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def parts_of(entry: Any, mesh: Mesh) -> int:
    """The number of parts into which one entry of a spec divides an axis.

    Args:
      entry: as in ``axis_names``.
      mesh: the mesh.

    Returns:
      The number; 1 for ``None``.
    """
    return math.prod(mesh.shape[name] for name in axis_names(entry))
