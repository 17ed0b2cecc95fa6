"""How many small wrong changes the tests notice.

``python -m support.mutation --count 150 --seed 0 --out mutants.json``, in ``tests``,
draws mutants of the rooms below and judges each by the tests of its module and by the
battery's rows that build it. It works in a git worktree of HEAD, not in this tree; a
mutant that stands judged in ``--out`` is not judged again, so that the command goes on
where it was ended. ``--mutants FILE`` takes the mutants of another run, and ``--map``
a JSON object of old paths to new ones.

A mutant is killed by a failing test, or by a time limit which the tests without a
mutant stay far below; the others survive.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from support.import_graph import ImportGraph
from support.mutants import Mutant, applied, mutants_of
from support.tiers import CATALOG

ROOMS = ("core", "transforms", "training")
_ROOT = pathlib.Path(__file__).parents[2]
# Of processor time: beside other jobs the wall clock would kill mutants that live.
_SECONDS = 60.0
# Wall clock over processor time after which a test counts as waiting for ever.
_SLACK = 10
# Test files that judge a module; those of its name come first.
_FILES = 8
# More files than this between a test and a module, and it is not the module's test.
_FAR = 5
# They are judges of their own, or of no module.
_ELSEWHERE = {"battery", "conformance", "public", "test_house.py"}
# Of the battery's rows that a module reaches, so many judge it.
_ROWS = 3


def draw(root: pathlib.Path, count: int, seed: int) -> list[Mutant]:
    """Mutants of the rooms, files in proportion to their number of mutants."""
    found: list[Mutant] = []
    for room in ROOMS:
        for path in sorted((root / "jaxopt_lab" / room).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            found += mutants_of(name, path.read_text())
    return random.Random(seed).sample(found, min(count, len(found)))


def located(root: pathlib.Path, mutant: Mutant, moved: dict[str, str]) -> str | None:
    """Where a mutant's line stands now: its path, the mapped one, or any other."""
    first = [moved.get(mutant.path, mutant.path), mutant.path]
    others = sorted(
        path.relative_to(root).as_posix()
        for path in (root / "jaxopt_lab").rglob("*.py")
        if path.name == pathlib.PurePosixPath(mutant.path).name
    )
    rest = sorted(
        path.relative_to(root).as_posix()
        for path in (root / "jaxopt_lab").rglob("*.py")
    )
    for path in dict.fromkeys([*first, *others, *rest]):
        file = root / path
        if file.exists() and applied(file.read_text(), mutant) is not None:
            return path
    return None


def judges(graph: ImportGraph, path: str) -> list[str]:
    """Test files named after a module or its method, then the nearest by imports."""
    parts = path.removesuffix(".py").split("/")[1:]
    names = [f"test_{parts[-1]}.py"]
    if len(parts) > 3:
        names.append(f"test_{parts[2]}")
    folder = "/".join(["tests", *parts[:2]][: len(parts)])
    ranks = {}
    for test in sorted(graph.paths):
        name = pathlib.PurePosixPath(test).name
        if not name.startswith("test_") or _ELSEWHERE.intersection(test.split("/")):
            continue
        if name.startswith(tuple(names)):
            ranks[test] = (0, test)
        elif (steps := _distance(graph, test, path)) is not None:
            ranks[test] = (steps, test)
    nearest = min((rank for rank, _ in ranks.values() if rank), default=0)
    found = [test for test in ranks if ranks[test][0] in (0, nearest)]
    found = found or [t for t in graph.paths if t.startswith(f"{folder}/test_")]
    found.sort(
        key=lambda t: (ranks.get(t, (1,))[0] > 0, not t.startswith(f"{folder}/"), t)
    )
    return found[:_FILES]


def _distance(graph: ImportGraph, test: str, path: str) -> int | None:
    """Files between a test and a module, itself counted; doors count nothing."""
    seen, ring = {test}, {test}
    for steps in range(1, _FAR):
        doors, nodes = ring, set()
        while doors:
            new = {n for node in doors for n in graph.edges(node)} - seen
            seen |= new
            new = {n for n in new if not n.startswith(CATALOG)}
            doors = {n for n in new if ":" in n or graph.door(n) is not None}
            nodes |= new - doors
        if path in nodes:
            return steps
        ring = nodes
    return None


def battery(graph: ImportGraph) -> str | None:
    """The file of the battery's cases."""
    for test in ("tests/battery/test_battery.py", "tests/conformance/test_battery.py"):
        if test in graph.paths:
            return test
    return None


class Bench:
    """A worktree in which mutants are judged, one at a time.

    Args:
      root: the repository.
      folder: where the worktree goes.
    """

    def __init__(self, root: pathlib.Path, folder: pathlib.Path):
        self.root, self.tree = root, folder / "tree"
        self._git("worktree", "add", "--detach", "--quiet", str(self.tree), "HEAD")
        self.graph = ImportGraph(self.tree)
        self.unchanged: dict[tuple[str, ...], float] = {}
        self.cache = folder / "cache"

    def close(self) -> None:
        """Remove the worktree."""
        self._git("worktree", "remove", "--force", str(self.tree))

    def _git(self, *words: str) -> None:
        subprocess.run(("git", *words), cwd=self.root, check=True)

    def judge(self, mutant: Mutant, moved: dict[str, str]) -> dict[str, object]:
        """What became of a mutant, and which tests said so."""
        path = located(self.tree, mutant, moved)
        if path is None:
            return {"outcome": "not found"}
        commands = [(test,) for test in judges(self.graph, path)]
        rows = self._rows(path)
        if rows:
            commands.append(tuple(rows))
        file = self.tree / path
        text = file.read_text()
        if not commands:
            return {"outcome": "survived", "by": "no test imports it"}
        for command in commands:
            normal = self._unchanged(command)
            if normal is None:
                continue
            mutated = applied(text, mutant)
            assert mutated is not None
            file.write_text(mutated)
            try:
                passed, seconds = self._run(command, max(_SECONDS, 3 * normal))
            finally:
                file.write_text(text)
            if not passed:
                outcome = "killed" if passed is False else "timed out"
                return {"outcome": outcome, "by": command[0], "seconds": seconds}
        return {"outcome": "survived", "by": [c[0] for c in commands]}

    def _rows(self, path: str) -> list[str]:
        """Cases of some rows of the battery that build from a module."""
        test = battery(self.graph)
        if test is None or not path.startswith("jaxopt_lab/transforms"):
            return []
        words = ["--collect-only", "-q", f"--reached-by={path}", test]
        done = self._pytest(words, _SECONDS * 3)
        cases = [line for line in (done or "").splitlines() if "::" in line]
        rows = dict.fromkeys(case.split("[")[-1].split("-")[0] for case in cases)
        kept = list(rows)[:_ROWS]
        return [c for c in cases if c.split("[")[-1].split("-")[0] in kept]

    def _unchanged(self, command: tuple[str, ...]) -> float | None:
        """Seconds of the tests without a mutant; nothing where they fail then."""
        if command not in self.unchanged:
            passed, seconds = self._run(command, 10 * _SECONDS)
            self.unchanged[command] = seconds if passed else -1.0
        seconds = self.unchanged[command]
        return seconds if seconds >= 0 else None

    def _run(self, command: tuple[str, ...], limit: float) -> tuple[bool | None, float]:
        begin = _children()
        done = self._pytest(["-x", "-q", *command], limit, check=True)
        passed = None if done is None else done == "passed"
        return passed, round(_children() - begin, 1)

    def _pytest(
        self, words: list[str], limit: float, check: bool = False
    ) -> str | None:
        """Output, or whether it passed; nothing beyond the limit of seconds."""
        allowed = math.ceil(limit)
        environ = {
            **os.environ,
            "PYTHONPATH": str(self.tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_COMPILATION_CACHE_DIR": str(self.cache),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-n", "0", *words],
            cwd=self.tree,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_CPU, (allowed, allowed + 5)
            ),
        )
        try:
            output, _ = process.communicate(timeout=_SLACK * limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return None
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return None
        if not check:
            return output
        # 5: every test of the command waits for the full run.
        return "passed" if process.returncode in (0, 5) else "failed"


def _children() -> float:
    """Processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def key(mutant: Mutant) -> str:
    """What makes two mutants the same one."""
    return json.dumps(dataclasses.astuple(mutant))


def main(words: list[str] | None = None) -> None:
    """Draw, judge, and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print them and stop")
    parser.add_argument("--mutants", type=pathlib.Path, help="those of this file")
    parser.add_argument("--map", type=pathlib.Path, help="old paths to new ones")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("mutants.json")
    )
    given = parser.parse_args(words)
    moved = json.loads(given.map.read_text()) if given.map else {}
    fields = [field.name for field in dataclasses.fields(Mutant)]
    if given.mutants:
        stored = json.loads(given.mutants.read_text())
        drawn = [Mutant(**{name: one[name] for name in fields}) for one in stored]
        drawn = drawn[: given.count]
    else:
        drawn = draw(_ROOT, given.count, given.seed)
    if given.list:
        for one in drawn:
            print(f"{one.path}: {one.function}\n  {one.line}\n  {one.mutated}")
        return
    done = json.loads(given.out.read_text()) if given.out.exists() else []
    judged = {key(Mutant(**{name: one[name] for name in fields})) for one in done}
    waiting = [one for one in drawn if key(one) not in judged]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mutants-"))
    bench = Bench(_ROOT, folder)
    try:
        for one in waiting:
            verdict = bench.judge(one, moved)
            done.append({**dataclasses.asdict(one), **verdict})
            unfinished = given.out.with_suffix(".part")
            unfinished.write_text(json.dumps(done, indent=1) + "\n")
            unfinished.replace(given.out)
            said = f"{verdict['outcome']}: {one.path} {one.function}: {one.mutated}"
            print(said, flush=True)
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    outcomes = [one["outcome"] for one in done]
    for outcome in sorted(set(outcomes)):
        print(f"{outcomes.count(outcome)} {outcome}")


if __name__ == "__main__":
    main()
