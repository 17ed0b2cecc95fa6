"""How many small wrong changes the tests notice.

``python -m support.mutation --count 150 --seed 0 --out mutants.json``, in ``tests``,
draws mutants of the rooms below and judges each by the tests of its module and by the
battery's rows that build it. It works in a git worktree of HEAD, not in this tree; a
mutant that stands judged in ``--out`` is not judged again, so that the command goes on
where it was ended, with the mutants that it has drawn then (``OUT_drawn.json``).
``--mutants FILE`` takes those of another run, and ``--map`` a JSON object of old paths
to new ones.

A mutant is killed by a failing test that passes without it, or by a time limit which
the tests without a mutant stay far below; the others survive (``support/bench.py``).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import random
import shutil
import tempfile

from support.bench import Bench
from support.import_graph import ImportGraph
from support.mutants import Mutant, applied, mutants_of
from support.tiers import CATALOG

ROOMS = ("core", "transforms", "training")
_ROOT = pathlib.Path(__file__).parents[2]
# Test files that judge a module; those of its name come first.
_FILES = 8
# More files than this between a test and a module, and it is not the module's test.
_FAR = 5
# They are judges of their own, or of no module.
_ELSEWHERE = {"battery", "public", "test_house.py", "test_stubs.py"}
_BATTERY = ("tests/battery/test_battery.py", "tests/battery/parts/test_parts.py")
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
    names = _names(path)
    folder = "/".join(["tests", *parts[:2]][: len(parts)])
    ranks = {}
    for test in sorted(graph.paths):
        name = pathlib.PurePosixPath(test).name
        if not name.startswith("test_") or _ELSEWHERE.intersection(test.split("/")):
            continue
        if name.startswith(names):
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


def _names(path: str) -> tuple[str, ...]:
    """How the names of a module's own test files begin."""
    parts = path.removesuffix(".py").split("/")[1:]
    own = (f"test_{parts[-1]}.py",)
    return (*own, f"test_{parts[2]}") if len(parts) > 3 else own


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


def rows_of(graph: ImportGraph, path: str) -> list[str]:
    """Rows of the battery that build from a module, those that name it first."""
    # They load jax, which reads the settings of the bench when it is loaded.
    from battery.reach import reaches

    from jaxopt_lab import catalog

    found = {}
    for kind in catalog.KINDS:
        for row in catalog.of_kind(kind).values():
            mark = reaches(row).mark
            nodes: set[str] = set()
            for name in mark.args:
                nodes |= graph.reference(name)
            if path in graph.closure(nodes, lambda node: node.startswith(CATALOG)):
                found[row.name] = path not in {node.split(":")[0] for node in nodes}
    return sorted(found, key=lambda name: (found[name], name))


def commands(graph: ImportGraph, path: str) -> list[tuple[str, ...]]:
    """Runs of pytest that judge a module, the quick and near ones first."""
    tests = judges(graph, path)
    names = _names(path)
    named = tuple(t for t in tests if pathlib.PurePosixPath(t).name.startswith(names))
    others = tuple(t for t in tests if t not in named)
    rows = rows_of(graph, path)[:_ROWS]
    found = [named, ("--full", *named)] if named else []
    if rows:
        cases = " or ".join(f"[{name}-" for name in rows)
        found.append(("-k", cases, *_BATTERY))
    if others:
        found.append(others)
    if others and not named:
        found.append(("--full", *others))
    if rows:
        found.append(("--full", "-k", cases, *_BATTERY))
    return found


def _verdict(bench: Bench, mutant: Mutant, moved: dict[str, str]) -> dict[str, object]:
    path = located(bench.tree, mutant, moved)
    if path is None:
        return {"outcome": "not found"}
    runs = commands(bench.graph, path)
    if not runs:
        return {"outcome": "survived", "by": "no test imports it"}
    return bench.judge(mutant, path, runs)


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
    parser.add_argument(
        "--cache",
        type=pathlib.Path,
        default=pathlib.Path.home() / ".cache" / "jaxopt_lab" / "xla-mutants",
        help="compiled programs, kept from run to run",
    )
    given = parser.parse_args(words)
    moved = json.loads(given.map.read_text()) if given.map else {}
    fields = [field.name for field in dataclasses.fields(Mutant)]
    # Another commit draws others; a run that goes on has those of its beginning.
    kept = given.mutants or given.out.with_name(f"{given.out.stem}_drawn.json")
    if given.mutants or kept.exists():
        drawn = [
            Mutant(**{name: one[name] for name in fields})
            for one in json.loads(kept.read_text())[: given.count]
        ]
    else:
        drawn = draw(_ROOT, given.count, given.seed)
        if not given.list:
            stored = [dataclasses.asdict(mutant) for mutant in drawn]
            kept.write_text(json.dumps(stored, indent=1) + "\n")
    if given.list:
        for one in drawn:
            print(f"{one.path}: {one.function}\n  {one.line}\n  {one.mutated}")
        return
    done = json.loads(given.out.read_text()) if given.out.exists() else []
    judged = {key(Mutant(**{name: one[name] for name in fields})) for one in done}
    waiting = [one for one in drawn if key(one) not in judged]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mutants-"))
    bench = Bench(_ROOT, folder, given.cache.resolve())
    try:
        for one in waiting:
            verdict = _verdict(bench, one, moved)
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
