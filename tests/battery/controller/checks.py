"""The checks of controllers."""

from __future__ import annotations

import copy
import math

import hypothesis
import jax
from hypothesis import strategies as st

from battery import programs
from battery.controller.subject import ControllerSubject
from battery.parts.common import register_common
from battery.parts.host import OF_FUNCTIONS
from battery.registry import check
from jaxopt_lab.core.errors import InputError

register_common(ControllerSubject, without=OF_FUNCTIONS)


@check("controller")
def function_of_arguments(subject: ControllerSubject) -> None:
    """A decision depends on statistics and state alone, and changes neither."""
    control = subject.make()
    states = [control.init(), *subject.run(control, subject.stats)[1]]
    pairs = list(zip(subject.stats, states, strict=False))
    first = [copy.deepcopy(control.decide(*copy.deepcopy(p))) for p in pairs]
    for stats, state in reversed(pairs):
        before = copy.deepcopy((stats, state))
        found = control.decide(stats, state)
        assert (stats, state) == before, "a decision changes its arguments"
        wanted = first[pairs.index((stats, state))]
        assert found == wanted, f"the same arguments give {wanted} and then {found}"


@check("controller")
def resumes(subject: ControllerSubject) -> None:
    """With its state as JSON text between two steps it decides the same."""
    plain, _ = subject.run(subject.make(), subject.stats)
    try:
        text, _ = subject.run(subject.make(), subject.stats, text=True)
    except (TypeError, KeyError) as error:
        raise AssertionError(f"the state does not survive JSON: {error!r}") from error
    assert text == plain, f"resumed from JSON it decides {text}, else {plain}"


@check("controller")
def neutral(subject: ControllerSubject) -> None:
    """Neutral thresholds decide nothing, whatever the statistics."""
    part, simpler = subject.neutral()
    name = subject.row.reduces_to.equals
    for factor in (0.0, 1.0, 1e9):
        stats = [{k: factor * v for k, v in one.items()} for one in subject.stats]
        found, wanted = (subject.run(c, stats)[0] for c in (part, simpler))
        assert found == wanted, f"neutral, it is not {name}: {found} against {wanted}"


@check("controller")
def bounds(subject: ControllerSubject) -> None:
    """The decision stays in its bounds for any statistics."""
    low, high = subject.inputs["low"], subject.inputs["high"]
    one = st.fixed_dictionaries({name: st.floats() for name in subject.row.reads})

    @hypothesis.settings(
        deadline=None, max_examples=60, database=None, derandomize=True
    )
    @hypothesis.given(st.lists(one, min_size=1, max_size=4))
    def within(stats: list) -> None:
        for decision in subject.run(subject.make(), stats)[0]:
            assert set(decision) == set(low), f"the decision is {decision}"
            for name, value in decision.items():
                inside = math.isfinite(value) and low[name] <= value <= high[name]
                assert inside, f"for {stats} {name} is {value}"

    within()


@check("controller")
def no_compilation(subject: ControllerSubject) -> None:
    """A step that takes its decisions is compiled once, and deciding is on the host."""
    tally = programs.Tally()
    with tally.counting():
        decisions, _ = subject.run(subject.make(), subject.stats)
    assert tally.programs == 0, f"deciding compiled {tally.programs} programs"
    assert len({str(d) for d in decisions}) > 1, "the example never changes a decision"
    types = [jax.tree.map(jax.typeof, decision) for decision in decisions]
    for one in types:
        assert one == types[0], f"a step would be compiled again: {types[0]}, {one}"


@check("controller")
def reads(subject: ControllerSubject) -> None:
    """It reads the statistics that its row names, and misses each in one line."""
    control, names = subject.make(), subject.row.reads
    only = {name: subject.stats[0][name] for name in names}
    assert control.decide(only, control.init()) == control.decide(
        subject.stats[0], control.init()
    ), "it reads statistics that the row does not name"
    for name in names:
        rest = {k: v for k, v in only.items() if k != name}
        try:
            control.decide(rest, control.init())
        except InputError as error:
            assert name in str(error), f"without {name} it says: {error}"
        else:
            raise AssertionError(f"it does not miss {name}, which the row names")
