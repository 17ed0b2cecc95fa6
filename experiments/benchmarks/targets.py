"""Every method's train step by the compilers for a CPU and for TPUs: memory and bytes.

Run as ``python -m experiments.benchmarks.targets [METHOD ...] --targets cpu v5e v5p
--json FILE``. Nothing runs, and no TPU is needed: its compiler is the package libtpu
(``pip install 'jaxopt_lab[plan-tpu]'``). Each row of the catalog, links and wrappers
with AdamW behind them, is compiled for one device and, with ``--zero``, for four with
the optimizer state divided over them. The matrices are of 64 MB at the default width:
of a small network a TPU keeps most in its fast memory, and the figures tell nothing.
``--leaves 148`` compiles for a tree of the shapes of GPT-2 instead (``--width`` is its
width, by default 768) and shows the seconds to trace, lower and compile over those of
AdamW, which is compiled first.

Columns, bytes a parameter of one device: ``state``, parameters and optimizer state;
``temp``, temporaries, the gradients among them; ``peak``, arguments and temporaries;
``moved``, read and written in a step, loops by their numbers of turns, and every branch
of a conditional; ``floor``, what reading and writing the state once and reading the
parameters once more for each further product takes; seconds are of the processor.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.benchmarks import options
from experiments.benchmarks.program_traffic import traffic
from experiments.benchmarks.targets_network import DenseNetwork, ManyLeaves
from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.lab import methods
from jaxopt_lab.lab.plan import estimate, tpu
from jaxopt_lab.lab.plan.layout import lay_out
from jaxopt_lab.lab.plan.planned_model import PlannedModel
from jaxopt_lab.lab.program_bytes import peak_bytes

TOPOLOGIES = {"v5e": "v5e:2x2", "v5p": "v5p:2x2x1"}
TARGETS = ("cpu", *TOPOLOGIES)
BATCH = 64


@dataclasses.dataclass(frozen=True)
class Figures:
    """One method compiled for one target; bytes are those of one device.

    Attributes:
      method: its name.
      target: ``"cpu"``, ``"v5e"`` or ``"v5p"``.
      devices: 1, or 4 with the optimizer state divided over them.
      parameters: number of parameters.
      state: bytes of parameters and optimizer state.
      temp: bytes of temporaries.
      peak: bytes of arguments, temporaries and outputs, without what is donated.
      moved: bytes read and written, by the program's text.
      unknown_loops: those of one turn of each loop of unknown length, not in
        ``moved``.
      floor: least bytes that a step can move.
      accessed: the compiler's own count, the body of a loop once.
      flops: operations by the compiler.
      code: bytes of the program.
      trace: seconds to trace.
      lower: seconds to lower.
      compile: seconds to compile.
    """

    method: str
    target: str
    devices: int
    parameters: int
    state: float
    temp: float
    peak: float
    moved: float
    unknown_loops: float
    floor: float
    accessed: float
    flops: float
    code: float
    trace: float
    lower: float
    compile: float

    def each(self, name: str) -> float:
        """An attribute in bytes, over the number of parameters."""
        return getattr(self, name) / self.parameters

    @property
    def start(self) -> float:
        """Seconds to trace, lower and compile."""
        return self.trace + self.lower + self.compile


def mesh_of(target: str, devices: int) -> Mesh:
    """A mesh of the first devices of a target.

    Args:
      target: of ``TARGETS``.
      devices: how many.

    Returns:
      The mesh, of the data axis alone.

    Raises:
      InputError: an unknown target, or libtpu is not installed.
    """
    if target not in TARGETS:
        raise errors.unknown("target", target, TARGETS)
    there = jax.devices("cpu")
    if target != "cpu":
        there = tpu.topology(TOPOLOGIES[target]).devices
    return Mesh(np.array(there[:devices]), (DATA_AXIS,))


def measure(
    method: str, target: str, network: PlannedModel, devices: int = 1
) -> Figures:
    """Compile a train step and read what it costs.

    Args:
      method: a name in the catalog.
      target: of ``TARGETS``.
      network: the network.
      devices: more than 1: the optimizer state is divided over them.

    Returns:
      The figures.

    Raises:
      InputError: an unknown name, or libtpu is not installed.
    """
    mesh = mesh_of(target, devices)
    zero = "none" if devices == 1 else "state"
    layout = lay_out(network, method, mesh, BATCH * devices, zero=zero)
    seconds = [time.process_time()]
    traced = estimate.trace(network, method, layout)
    seconds.append(time.process_time())
    lowered = traced.lower()
    seconds.append(time.process_time())
    compiled = lowered.compile()
    seconds.append(time.process_time())
    found = traffic(compiled.as_text())
    analysis = compiled.cost_analysis()
    memory = compiled.memory_analysis()
    weights = layout.bytes_of("params")
    state = weights + layout.bytes_of("opt_state")
    passes = 2 * methods.get(method).gradients - 1
    return Figures(
        method=method,
        target=target,
        devices=devices,
        parameters=trees.count(layout.state.params),
        state=state,
        temp=memory.temp_size_in_bytes,
        peak=peak_bytes(compiled),
        moved=found.known,
        unknown_loops=found.unknown,
        floor=2 * state + passes * weights,
        accessed=analysis["bytes accessed"],
        flops=analysis["flops"],
        code=memory.generated_code_size_in_bytes,
        trace=seconds[1] - seconds[0],
        lower=seconds[2] - seconds[1],
        compile=seconds[3] - seconds[2],
    )


_HEADINGS = (
    "method",
    "target",
    "state",
    "temp",
    "peak",
    "moved",
    "over the floor",
    "loops",
    "GFLOP",
    "code, MB",
    "trace, s",
    "lower, s",
    "compile, s",
    "over adamw",
)


def cells(one: Figures, base: Figures | None = None) -> tuple[str, ...]:
    """The figures as a line of the table.

    Args:
      one: figures.
      base: those of AdamW for the same target, if its seconds are compared.

    Returns:
      A text for each of the headings.
    """
    loops = one.each("unknown_loops")
    return (
        one.method,
        one.target if one.devices == 1 else f"{one.devices} {one.target}",
        *(f"{one.each(x):.2f}" for x in ("state", "temp", "peak", "moved")),
        f"{one.moved / one.floor:.2f}",
        f"{loops:.1f}" if loops else "",
        f"{one.flops / 1e9:.1f}",
        f"{one.code / 1e6:.2f}",
        *(f"{x:.1f}" for x in (one.trace, one.lower, one.compile)),
        f"{one.start / base.start:.1f}" if base else "",
    )


def main(words: Sequence[str] | None = None) -> int:
    """Compile, and print a line for each method and target as it comes.

    Args:
      words: the command line; ``None``: the program's.

    Returns:
      Exit status: 0; 2 where libtpu is missing or a name is unknown.
    """
    parser = options.parser(__doc__)
    parser.add_argument("methods", nargs="*", help="rows of the catalog; none: all")
    parser.add_argument("--targets", nargs="+", default=["cpu"], choices=TARGETS)
    parser.add_argument("--zero", action="store_true", help="also four devices, ZeRO")
    parser.add_argument("--width", type=int, default=0, help="of a layer")
    parser.add_argument("--depth", type=int, default=3, help="number of layers")
    parser.add_argument("--leaves", type=int, default=0, help="of a GPT-2; 124M: 148")
    parser.add_argument("--json", default="", help="also write the figures here")
    given = parser.parse_args(words)
    _prepare(4 if given.zero else 1)
    found: list[Figures] = []
    bases: dict[tuple[str, int], Figures] = {}
    try:
        network: PlannedModel = DenseNetwork(given.width or 4096, given.depth)
        if given.leaves:
            network = ManyLeaves(given.leaves, given.width or 768)
        for name in given.methods:
            methods.get(name)
        for target in given.targets:
            mesh_of(target, 1)
        print(" | ".join(_HEADINGS), flush=True)
        names = list(given.methods or methods.names())
        if given.leaves:
            # Twice: the first program of a process loads what all need.
            names = ["adamw", *(x for x in names if x != "adamw")]
            measure("adamw", given.targets[0], network)
        for name in names:
            for target in given.targets:
                for devices in (1, 4) if given.zero else (1,):
                    one = measure(name, target, network, devices)
                    if given.leaves and name == "adamw":
                        bases[target, devices] = one
                    found.append(one)
                    base = bases.get((target, devices))
                    print(" | ".join(cells(one, base)), flush=True)
    except errors.InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _show(found, bases)
    if given.json:
        rows = [dataclasses.asdict(one) for one in found]
        Path(given.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _prepare(devices: int) -> None:
    """Some devices of the CPU, no search for a TPU, and no programs from a cache.

    Kernels are cut by the number of devices of the process: with one, as in most runs.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if devices > 1 and "device_count" not in flags:
        more = f"--xla_force_host_platform_device_count={devices}"
        os.environ["XLA_FLAGS"] = f"{flags} {more}".strip()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", None)
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"


def _show(found: Sequence[Figures], bases: Mapping[tuple[str, int], Figures]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="bytes a parameter on one device", title_justify="left")
    for i, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if i < 2 else "right")
    for one in found:
        table.add_row(*cells(one, bases.get((one.target, one.devices))))
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
