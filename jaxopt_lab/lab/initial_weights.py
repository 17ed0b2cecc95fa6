"""The weights that a run begins with: those of another run, or of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab import weights
from jaxopt_lab.lab.assembly import assemble
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.freezing import check_pattern
from jaxopt_lab.lab.history import configuration_of
from jaxopt_lab.lab.run_files import CHECKPOINTS, is_run
from jaxopt_lab.runtime import Checkpoints

_HEAD = r"^head(/|$)"


class Start(NamedTuple):
    """Weights to begin with.

    Attributes:
      named: arrays by name, ``"params/..."`` and ``"model_state/..."``, or as
        ``weights.found_in`` takes them.
      new: regular expression of the paths of parameters that are drawn at random;
        empty: none.
      source: where they come from, for messages.
    """

    named: Mapping[str, np.ndarray]
    new: str
    source: str

    def __call__(
        self, params: Params, model_state: ModelState
    ) -> tuple[Params, ModelState]:
        """The initial values with those of the source in their places."""
        return self._filled("params", params), self._filled("model_state", model_state)

    def _filled(self, part: str, tree: Any) -> Any:
        leaves, unfit = [], []
        for path, leaf in trees.leaves_with_path(tree):
            name = trees.path_name(path)
            if self._is_new(name) or _is_key(leaf):
                leaves.append(leaf)
                continue
            found = weights.found_in(self.named, part, name)
            if found is None or found.shape != leaf.shape:
                got = "nothing" if found is None else f"shape {found.shape}"
                unfit.append(f"{name}: {got} for {leaf.shape}")
                leaves.append(leaf)
            else:
                leaves.append(jnp.asarray(found, leaf.dtype))
        if unfit:
            more = f", and {len(unfit) - 3} more" if len(unfit) > 3 else ""
            have = sorted(self.named)
            names = f"{', '.join(have[:3])}{', ...' if len(have) > 3 else ''}"
            raise InputError(
                f"start_from={self.source} has other weights ({'; '.join(unfit[:3])}"
                f"{more}; it has {names}); head=new draws the head at random, "
                "head=REGEX others"
            )
        return jax.tree.unflatten(jax.tree.structure(tree), leaves)

    def _is_new(self, name: str) -> bool:
        return bool(self.new) and re.search(self.new, name) is not None


def of_run(configuration: Configuration) -> Start | None:
    """The start that a run asks for.

    Args:
      configuration: the run.

    Returns:
      The start; ``None``: it draws its weights.

    Raises:
      InputError: there is no such run or file.
    """
    run = configuration.run
    if not run.start_from:
        return None
    new = {"keep": "", "new": _HEAD}.get(run.head, run.head)
    check_pattern("head", new)
    place = Path(run.start_from).expanduser()
    if place.is_file():
        return Start(weights.read(place), new, run.start_from)
    if not is_run(place):
        raise InputError(
            f"start_from={run.start_from} is no run and no file; accepted: the folder "
            "of a run, or weights .npz or .safetensors"
        )
    theirs = configuration_of(place, None)
    program = assemble(theirs.on_one_device())
    saved = Checkpoints(place / CHECKPOINTS, read_only=True)
    state = program.view(saved.restore(program.state).state)
    if theirs.run.seeds > 1:
        state = jax.tree.map(lambda x: x[0], state)
    params = state.params
    if program.eval_params is not None:
        params = program.eval_params(params, state.opt_state)
    return Start(weights.named(params, state.model_state), new, run.start_from)


def told(start: Start, params: Params, frozen: str) -> str:
    """Lines that say which weights were taken, new and frozen.

    Args:
      start: the start.
      params: the parameters or their shapes.
      frozen: ``run.freeze``.

    Returns:
      Lines of text.
    """
    rows: dict[str, list[tuple[str, int]]] = {"taken": [], "new": [], "frozen": []}
    for path, leaf in trees.leaves_with_path(params):
        name = trees.path_name(path)
        one = (name, int(np.prod(leaf.shape)))
        rows["new" if start._is_new(name) else "taken"].append(one)
        if frozen and re.search(frozen, name):
            rows["frozen"].append(one)
    lines = []
    for kind, found in rows.items():
        if found:
            names = ", ".join(name for name, _ in found[:4])
            more = ", ..." if len(found) > 4 else ""
            size = sum(size for _, size in found)
            lines.append(f"{kind:>6}: {size:,} parameters ({names}{more})")
    return "\n".join([f"weights of {start.source}", *lines])


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
