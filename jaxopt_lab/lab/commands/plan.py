"""Cost of a run on devices that need not exist.

``jaxopt-lab plan model=llama-7b method=microadam mesh=data:64,model:8 batch=1024``;
``--help`` lists the options.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.lab.command_line import asks_help, known_words, program
from jaxopt_lab.lab.commands import guarded
from jaxopt_lab.lab.ending import leave

_MOST_DEVICES = 4096


@dataclass(frozen=True)
class PlanOptions:
    """Options of a plan."""

    model: str = "llama-7b"
    """the model: gpt2-124m, llama-60m, llama-1b, llama-7b, llama-70b, resnet50 or
    vit-l"""
    method: str = "adamw"
    """a method of the catalog, at its defaults; all: the state of every method"""
    mesh: str = "data:64"
    """the devices, as name:size pairs: data:64,model:8"""
    batch: int = 1024
    """examples in a batch, all devices together"""
    zero: Literal["none", "state", "all"] = "none"
    """what is divided over the data axis: nothing, the optimizer state, or the
    parameters too"""
    chip: Literal["auto", "v5e", "v5p", "H100", "H200"] = "auto"
    """the device whose figures are used for times; auto: that of target, or H100"""
    target: str = ""
    """also compile for these TPUs, such as v5p:4x4x4, and print the real peak: takes
    minutes and the package libtpu (the extra plan-tpu)"""
    json: str = ""
    """also write the figures to this file"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    return guarded(_plan, sys.argv[1:] if arguments is None else arguments)


def _plan(words: Sequence[str]) -> int:
    if asks_help(words):
        print(_help())
        return 0
    options = parse(words)
    _make_devices(options)
    from jaxopt_lab.lab.plan import show

    show.run(options)
    return 0


def parse(words: Sequence[str]) -> PlanOptions:
    """The options among the words of a command.

    Args:
      words: ``key=value`` each.

    Returns:
      The options.

    Raises:
      InputError: a word that is none, an unknown name or a value out of range.
    """
    fields = [field.name for field in dataclasses.fields(PlanOptions)]
    given: dict[str, Any] = dict(known_words(words, fields))
    for name, accepted in (
        ("zero", ("none", "state", "all")),
        ("chip", ("auto", "v5e", "v5p", "H100", "H200")),
    ):
        if given.get(name, accepted[0]) not in accepted:
            raise unknown(name, given[name], accepted)
    if "batch" in given:
        if not given["batch"].isdigit() or not int(given["batch"]):
            raise InputError(
                f"batch={given['batch']} is out of range; accepted: [1, inf)"
            )
        given["batch"] = int(given["batch"])
    options = PlanOptions(**given)
    if options.target and options.method == "all":
        raise InputError("target= compiles one method; method=all compiles none")
    if options.target and not re.fullmatch(r"v\w+:\d+(x\d+)*", options.target):
        raise InputError(
            f"target={options.target} cannot be read; write a TPU and its topology, "
            "such as v5p:4x4x4 or v5e:8x8"
        )
    if options.chip == "auto":
        name = options.target.partition(":")[0] or "H100"
        if name not in ("v5e", "v5p", "H100"):
            raise InputError(
                f"target={options.target}: no figures of {name} are kept; give chip=, "
                "whose memory and rates are used"
            )
        options = dataclasses.replace(options, chip=name)
    return options


def _make_devices(options: PlanOptions) -> None:
    """As many virtual devices as the mesh has; before jax looks for any."""
    sizes = re.fullmatch(r"\s*\w+:\d+(\s*,\s*\w+:\d+)*\s*", options.mesh)
    if not sizes:
        raise InputError(
            f"mesh={options.mesh} cannot be read; write name:size, such as "
            "data:64,model:8: a plan has no devices of its own"
        )
    count = 1
    for size in re.findall(r":(\d+)", options.mesh):
        count *= int(size)
    if not 1 <= count <= _MOST_DEVICES:
        raise InputError(
            f"mesh={options.mesh} has {count} devices; accepted: 1 to {_MOST_DEVICES}"
        )
    flags = re.sub(
        r"--xla_force_host_platform_device_count=\d+",
        "",
        os.environ.get("XLA_FLAGS", ""),
    )
    os.environ["XLA_FLAGS"] = (
        f"{flags} --xla_force_host_platform_device_count={count}".strip()
    )
    os.environ["JAX_PLATFORMS"] = "cpu"
    if options.target:
        # No TPU is there to be asked, and another process may be compiling too.
        os.environ["TPU_SKIP_MDS_QUERY"] = "1"
        os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"


def _help() -> str:
    """The options with their defaults, from the source of their class."""
    import inspect

    text = inspect.getsource(PlanOptions)
    option = r"    (\w+): [^\n]*? = ([^\n]*)\n    \"\"\"(.*?)\"\"\""
    found = re.findall(option, text, re.DOTALL)
    lines = [f"{program('plan')} key=value ...", ""]
    lines += [
        f"  {name:8} {' '.join(what.split())} (default: {default.strip(chr(34))})"
        for name, default, what in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    leave(main())
