"""The hypergradient of ``unroll`` beside that of TorchOpt: time and memory.

Run as ``python -m experiments.benchmarks.unroll_peers [--steps N ...]`` with torch
and torchopt installed by hand; neither is a dependency. The problem is that of
``experiments.benchmarks.unroll``: Adam on a tanh network 32-64-64-10, one batch of 64
examples, the derivatives of the last loss with respect to the learning rate and the
initial weights. Every figure is from a process of its own, for the peak of memory is
one of a process: what is counted is how far it grows over a hypergradient of one step
or, for ``unroll``, over the compiled program's start. Both must give the same
derivatives.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.paired import report
from experiments.benchmarks.unroll import HIDDEN, RATE, data, net, outer

STEPS = (100, 1000)
REPEATS = 5
# Times of TorchOpt over those of ``unroll``, and the same of bytes.
BARS_AT = 1000
BARS = {"time": 10.0, "memory": 40.0}
OURS, PEER = "unroll, sqrt", "TorchOpt"


def missing() -> str | None:
    """The first package that the peer needs and that is not there.

    Returns:
      Its name, or None.
    """
    for package in ("torch", "torchopt"):
        if importlib.util.find_spec(package) is None:
            return package
    return None


def ours(n: int) -> dict[str, Any]:
    """The hypergradient by ``unroll``.

    Args:
      n: number of steps.

    Returns:
      What ``measured`` gives, with the seconds to compile and the bytes of
      temporaries that the program was compiled to.
    """
    fn = jax.value_and_grad(outer(n, remat="sqrt"), (0, 1))
    args = jnp.float32(RATE), net(HIDDEN, jax.random.key(0)), data()
    began = time.perf_counter()
    program = jax.jit(fn).lower(*args).compile()
    seconds = time.perf_counter() - began
    memory: Any = program.memory_analysis()

    def run() -> tuple[float, float, float]:
        value, (rate, weights) = jax.block_until_ready(program(*args))
        return float(value), float(rate), float(jnp.sum(weights[0][0] ** 2) ** 0.5)

    extra = {"compile": seconds, "temporaries": memory.temp_size_in_bytes}
    return measured(run, lambda: None) | extra


def peer(n: int) -> dict[str, Any]:
    """The hypergradient by TorchOpt's functional Adam.

    Args:
      n: number of steps.

    Returns:
      What ``measured`` gives.
    """
    torch = importlib.import_module("torch")
    torchopt = importlib.import_module("torchopt")
    inputs, labels = (np.array(x) for x in data())
    inputs, labels = torch.tensor(inputs), torch.tensor(labels, dtype=torch.int64)
    start = [np.array(x) for pair in net(HIDDEN, jax.random.key(0)) for x in pair]

    def loss_fn(params: Any) -> Any:
        hidden = inputs
        for i in range(0, len(params) - 2, 2):
            hidden = torch.tanh(hidden @ params[i] + params[i + 1])
        logits = hidden @ params[-2] + params[-1]
        return torch.nn.functional.cross_entropy(logits, labels)

    def hypergradient(steps: int) -> tuple[float, float, float]:
        rate = torch.tensor(RATE, requires_grad=True)
        first = params = tuple(torch.tensor(x, requires_grad=True) for x in start)
        adam = torchopt.adam(lambda _: rate, moment_requires_grad=False)
        state = adam.init(params)
        for _ in range(steps):
            grads = torch.autograd.grad(loss_fn(params), params, create_graph=True)
            updates, state = adam.update(grads, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        value = loss_fn(params)
        by_rate, by_weights, *_ = torch.autograd.grad(value, (rate, *first))
        return value.item(), by_rate.item(), by_weights.norm().item()

    return measured(lambda: hypergradient(n), lambda: hypergradient(1))


def measured(run: Callable[[], Any], warm: Callable[[], Any]) -> dict[str, Any]:
    """Time and memory of a hypergradient in this process.

    Args:
      run: takes it, and gives the loss and two figures of the derivatives.
      warm: loads what the first use loads.

    Returns:
      ``seconds``, the least of some repeats; ``bytes``, by how much the largest
      resident size grew in the first; ``found``, what ``run`` gives.
    """
    warm()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = run()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return {"seconds": min(seconds), "bytes": 1024 * grown, "found": found}


def measure(steps: Sequence[int]) -> dict[str, Any]:
    """Both in turn, each in a process of its own.

    Args:
      steps: numbers of steps of the unrolled runs.

    Returns:
      Figures by name.

    Raises:
      AssertionError: the derivatives differ.
    """
    figures: dict[str, Any] = {}
    for n in steps:
        one, two = (_in_a_process(who, n) for who in (OURS, PEER))
        np.testing.assert_allclose(one["found"], two["found"], rtol=0.02)
        for name, found in ((OURS, one), (PEER, two)):
            figures[f"N={n}, {name}: seconds"] = found["seconds"]
            figures[f"N={n}, {name}: MB that the process grew"] = found["bytes"] / 1e6
        figures[f"N={n}, {OURS}: seconds to compile"] = one["compile"]
        figures[f"N={n}, {OURS}: MB of temporaries"] = one["temporaries"] / 1e6
        bars = BARS if n == BARS_AT else dict.fromkeys(BARS, "none")
        label = f"N={n}: {PEER} / {OURS}, time (bar {bars['time']})"
        figures[label] = two["seconds"] / one["seconds"]
        label = f"N={n}: {PEER} grew / {OURS} compiled, memory (bar {bars['memory']})"
        figures[label] = two["bytes"] / one["temporaries"]
    return figures


def _in_a_process(who: str, n: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.unroll_peers"]
    done = subprocess.run(
        [*command, "--alone", who, "--steps", str(n)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print.

    Args:
      arguments: command line; ``None`` for that of the process.

    Returns:
      0, or 2 where the peer is not installed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--alone", choices=(OURS, PEER), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.alone is not None:
        one = {OURS: ours, PEER: peer}[options.alone]
        print(json.dumps(one(options.steps[0])))
        return 0
    if (package := missing()) is not None:
        print(
            f"{package} is not installed: pip install torch torchopt", file=sys.stderr
        )
        return 2
    report("unroll_peers", measure(options.steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
