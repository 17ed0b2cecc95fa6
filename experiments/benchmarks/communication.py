"""Bytes a parameter that each method sends between eight devices, in each style.

Run as ``python -m experiments.benchmarks.communication [METHOD ...]``, by default the
whole catalog, which takes some minutes. Nothing is timed or run: the programs are
compiled for eight virtual devices, and their collectives are read from the module after
the partitioner, with the trip counts of loops. Bytes are those that a device sends
around a ring, of a float32 model; plain data parallel sends 2 * 7 / 8 * 4 = 7.

Columns: ``jit``, the batch cut over the devices; ``per device``, the same with the
gradients of each device's part; ``shard_map``, explicit collectives (and ``pmap``);
``micro``, per device with four micro-batches; ``ZeRO jit`` and ``ZeRO shard_map``, the
optimizer state divided, the last only for methods that treat every element by itself.
``state`` is the divided state's bytes on one device over its whole bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.benchmarks import options

DEVICES = 8


class Way(NamedTuple):
    """One way to train on many devices.

    Attributes:
      name: heading of its column.
      options: of ``make_parallel_step``.
      zero: whether the optimizer state is divided.
    """

    name: str
    options: dict[str, Any]
    zero: bool = False


WAYS = (
    Way("jit", {}),
    Way("per device", {"per_device": True}),
    Way("shard_map", {"style": "shard_map"}),
    Way("micro", {"micro_batches": 4}),
    Way("ZeRO jit", {}, zero=True),
    Way("ZeRO shard_map", {"style": "shard_map"}, zero=True),
)


class Found(NamedTuple):
    """Messages of one step.

    Attributes:
      sent: bytes a parameter by kind of collective; scalars are left out.
      share: bytes of the optimizer state on one device over its whole bytes.
    """

    sent: dict[str, float]
    share: float

    def __str__(self) -> str:
        shown = [f"{short} {self.sent[k]:.2f}" for k, short in _SHORT if k in self.sent]
        return ", ".join(shown) or "nothing"


_SHORT = (
    ("all-reduce", "AR"),
    ("reduce-scatter", "RS"),
    ("all-gather", "AG"),
    ("all-to-all", "A2A"),
    ("collective-permute", "CP"),
)


def methods() -> dict[str, Callable[[], Any]]:
    """Every row of the catalog at its defaults, and local perturbations besides.

    Returns:
      Functions that build the optimizer, by label; links and wrappers stand before
      AdamW.
    """
    from jaxopt_lab import catalog
    from jaxopt_lab.lab.plan.layout import transform

    found: dict[str, Callable[[], Any]] = {
        name: lambda name=name: transform(name) for name in catalog.of_kind("transform")
    }
    found["sam sync=local"] = lambda: transform("sam", sync="local")
    return found


def measure(label: str, way: Way) -> Found:
    """Compile one step and read what it sends.

    Args:
      label: of ``methods``.
      way: how it is trained.

    Returns:
      What was found.

    Raises:
      InputError: the way cannot have this method.
      RuntimeError: the partitioner's module was not written.
    """
    import jax
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    from jaxopt_lab import catalog, training
    from jaxopt_lab.core import trees
    from jaxopt_lab.lab.plan import module_text, partitioned, wire

    tx = methods()[label]()
    row = catalog.get(label.split()[0], "transform")
    mesh = training.make_mesh(f"data:{DEVICES}")
    state = jax.eval_shape(
        lambda key: training.init_state(tx, _params(), key), jax.random.key(0)
    )
    in_jit = way.options.get("style", "jit") == "jit"
    there = training.state_shardings(
        state,
        (),
        mesh,
        zero_axis="data" if way.zero else None,
        replicated=row.whole_state if in_jit else "",
        factored=row.factored_state,
    )
    stored = there
    if way.zero and in_jit:
        stored = training.storage_shardings(state, there, "data")
    options = dict(way.options)
    if way.zero and options.get("style") == "shard_map":
        options["elementwise"] = row.elementwise
    step = training.make_parallel_step(
        _loss_fn,
        tx,
        mesh,
        there,
        storage=None if stored is there else stored,
        **options,
    )
    place = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
    batch = place(
        jax.ShapeDtypeStruct((128, _WIDTH), "float32"), NamedSharding(mesh, P("data"))
    )
    run = jax.jit(step, out_shardings=(stored, None), donate_argnums=0)
    lowered = run.lower(jax.tree.map(place, state, stored), {"x": batch})
    text = partitioned.compile_partitioned(lowered)
    if not text.exact:
        raise RuntimeError("no module after the partitioner")
    count = sum(x.size for x in jax.tree.leaves(state.params))
    total: dict[str, float] = {}
    for one in wire.sent(module_text.read_module(text.text), mesh.shape):
        if one.array.shape:
            total[one.kind] = total.get(one.kind, 0.0) + one.ring_bytes / count
    here = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(s.shard_shape(x.shape), x.dtype),
        state.opt_state,
        stored.opt_state,
    )
    whole = trees.nbytes(state.opt_state)
    return Found(total, trees.nbytes(here) / whole if whole else 1.0)


_WIDTH = 256


def _params() -> dict[str, Any]:
    """Matrices, a stack of them, a vector; all divide by the number of devices."""
    import jax.numpy as jnp

    return {
        "in": jnp.full((_WIDTH, 512), 0.1),
        "bias": jnp.zeros((512,)),
        "out": jnp.full((512, _WIDTH), 0.1),
        "stack": jnp.full((8, _WIDTH, _WIDTH), 0.1),
    }


def _loss_fn(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    import jax.numpy as jnp

    h = jnp.tanh(batch["x"] @ params["in"] + params["bias"][None]) @ params["out"]
    for i in range(params["stack"].shape[0]):
        h = jnp.tanh(h @ params["stack"][i])
    return jnp.mean(h**2), (model_state, {})


def main(words: Sequence[str] | None = None) -> None:
    """Print the table.

    Args:
      words: the command line; ``None``: the program's.
    """
    parser = options.parser(__doc__)
    parser.add_argument("method", nargs="*", help="rows of the catalog; default: all")
    chosen = parser.parse_args(words).method
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} "
        f"--xla_force_host_platform_device_count={DEVICES}"
    ).strip()
    from rich.console import Console
    from rich.table import Table

    from jaxopt_lab.core import errors

    labels = list(methods())
    for name in chosen:
        if name not in labels:
            parser.error(str(errors.unknown("method", name, labels)))
    table = Table(title=f"bytes a parameter that each of {DEVICES} devices sends")
    for heading in ("method", *(way.name for way in WAYS), "state"):
        table.add_column(heading)
    for label in chosen or labels:
        cells, share = [], ""
        for way in WAYS:
            try:
                found = measure(label, way)
            except errors.InputError:
                cells.append("refused")
                continue
            cells.append(str(found))
            if way.zero and not share:
                share = f"{found.share:.3f}"
        table.add_row(label, *cells, share)
        print(label, *cells, share, sep=" | ", flush=True)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
