"""All settings of a grid, trained and validated, in rungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxopt_lab.lab.tuning.axes import Grid, Group
from jaxopt_lab.lab.tuning.halving import Scored, rungs, survivors
from jaxopt_lab.lab.tuning.program import Population, SettingsProgram
from jaxopt_lab.lab.tuning.store import Store


class Stopped(Exception):
    """A signal ended the tuning; the states are saved.

    Args:
      step: steps of the settings that were in training.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"at step {step}")
        self.step = step


class Options(NamedTuple):
    """Numbers of a grid search.

    Attributes:
      halving: see ``halving.rungs``.
      score: ``"accuracy"`` or ``"loss"``.
      at_once: see ``SettingsProgram``.
      save_every: steps between two saves of the states; 0: at the end of a rung only.
      devices: see ``SettingsProgram``.
    """

    halving: int = 0
    score: str = "accuracy"
    at_once: int = 0
    save_every: int = 500
    devices: int = 1


def total_steps(grid: Grid, options: Options) -> int:
    """The steps that the programs of all groups take together, at most."""
    (steps,) = {group.configuration.run.steps for group in grid.groups}
    count = sum(len(group.settings) for group in grid.groups)
    rungs(steps, count, options.halving)
    return steps * len(grid.groups)


def grid_search(
    grid: Grid,
    options: Options,
    store: Store,
    *,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[int, list[Scored]], None] = lambda done, scored: None,
) -> list[Scored]:
    """Train every setting of a grid and validate it at the end of every rung.

    Args:
      grid: the settings.
      options: numbers of the search.
      store: keeps scores and states; what it has is not computed again.
      stopping: asked after every step; true saves the states and ends the search.
      progress: ``progress(done, scored)``, called after every step with the steps of
        all groups together, and the validations of a rung where one has ended.

    Returns:
      The last validation of every setting, in the grid's order.

    Raises:
      Stopped: ``stopping`` was true.
      InputError: the data do not fit, or a file cannot be written.
    """
    alive = [s for group in grid.groups for s in group.settings]
    ends = rungs(grid.groups[0].configuration.run.steps, len(alive), options.halving)
    running = [
        _GroupRun(number, group, grid, options, store)
        for number, group in enumerate(grid.groups)
    ]
    last: dict[int, Scored] = {}
    done = since = 0
    for rung, end in enumerate(ends):
        found = []
        for one in running:
            chosen = [s for s in one.settings if s in alive]
            if not chosen:
                continue
            scored = store.scores(rung, one.number)
            if scored is not None:
                one.skip(chosen)
            else:

                def after(step: int, done: int = done, since: int = since) -> bool:
                    progress(done + step - since, [])
                    return stopping()

                one.enter(chosen, since)
                scored = one.train(end, after, keep=end != ends[-1])
                store.add(rung, one.number, scored)
            done += end - since
            progress(done, scored)
            found += scored
        last |= {s.setting: s for s in found}
        if end != ends[-1]:
            alive = survivors(found, options.halving, options.score)
        since = end
    return [last[setting] for setting in sorted(last)]


class _GroupRun:
    """The settings of one program."""

    _make = staticmethod(SettingsProgram)

    def __init__(
        self, number: int, group: Group, grid: Grid, options: Options, store: Store
    ) -> None:
        self.number = number
        self.settings = list(group.settings)
        self._group, self._grid = group, grid
        self._options, self._store = options, store
        self._program: SettingsProgram | None = None
        self._population: Population | None = None

    @property
    def program(self) -> SettingsProgram:
        if self._program is None:
            names = list(self._grid.numbers(self._group))
            self._program = self._make(
                self._group.configuration,
                names,
                self._options.at_once,
                self._options.devices,
            )
        return self._program

    def skip(self, chosen: Sequence[int]) -> None:
        """Pass over a rung whose scores and states are in the store."""
        self.settings, self._population = list(chosen), None

    def enter(self, chosen: Sequence[int], since: int) -> None:
        """Begin a rung with some settings, those of the last rung among them."""
        rows = [self.settings.index(s) for s in chosen]
        if self._population is not None:
            self._population = self.program.chosen(self._population, rows)
        else:
            numbers = self._grid.numbers(self._group)
            whole = self.program.start(numbers, len(self._group.settings))
            inside = [self._group.settings.index(s) for s in self.settings]
            before = whole
            if len(inside) < whole.size:
                before = self.program.chosen(whole, inside)
            self._population = self._store.restore(
                self.number, self.program, before, rows, since
            )
        self.settings = list(chosen)

    def train(
        self, end: int, after: Callable[[int], bool], *, keep: bool
    ) -> list[Scored]:
        """Train to the end of a rung, and validate; ``keep``: another rung follows."""
        population, every = self._population, self._options.save_every
        assert population is not None
        stop = False

        def on_step(step: int) -> bool:
            nonlocal stop
            stop = after(step)
            return stop

        while population.step < end:
            until = end
            if every:
                until = min(end, (population.step // every + 1) * every)
            population = self.program.train(population, until, on_step)
            if keep or population.step < end:
                self._store.save(self.number, population)
            if stop and population.step < end:
                raise Stopped(population.step)
        self._population = population
        scores = self.program.scores(population)
        return [
            Scored(
                setting,
                population.step,
                tuple(scores["accuracy"][i].tolist()),
                tuple(scores["loss"][i].tolist()),
            )
            for i, setting in enumerate(self.settings)
        ]
