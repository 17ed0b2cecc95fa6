"""Programs whose bits can be compared."""

import os
import subprocess
import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]


def with_one_rounding(file: str, call: str) -> None:
    """Call a function of a test file where ``a * b + c`` has one value.

    A processor with fused multiply-add rounds it once or twice, as the compiler likes
    for the layout at hand: two layouts of one program, of any optimizer, then differ
    in a last bit here and there. The flag that forbids it holds for a process.

    Args:
      file: ``__file__`` of the test.
      call: what is called, as Python.
    """
    path = Path(file)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=AVX"
    found = subprocess.run(
        [sys.executable, "-c", f"import conftest, {path.stem} as m; m.{call}"],
        env={
            **os.environ,
            "XLA_FLAGS": flags,
            "PYTHONPATH": os.pathsep.join([str(_TESTS), str(path.parent)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert found.returncode == 0, found.stderr[-4000:]
