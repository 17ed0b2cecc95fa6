"""The one rule by which all studies decide their claims.

A claim says that the mean over seeds of a paired value is in a range, such as "the
difference is above 0". It is *shown* where Student's interval is inside the range,
*contradicted* where it is outside, else *undecided*. The claims of one study share
the error rate of 5 % by Holm's procedure. Fewer than five seeds decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from jaxopt_lab.lab.paired_tests import FEWEST, critical, holm, p_values

Word = Literal["shown", "contradicted", "undecided"]
_INF = float("inf")


class Claim(NamedTuple):
    """A claim with its evidence.

    Attributes:
      text: the claim, in words.
      where: problem, panel or optimizer that it is about.
      values: one value for each seed, or of shape ``(lines, seeds)`` for a claim on
        every line; ``None`` for exact claims.
      accepted: range of the mean in which the claim is right.
      right: of exact claims: whether it is right; ``None``: not known.
      evidence: numbers in words, for exact claims or beside the interval.
      scale: factor on numbers that are printed, such as 100 for per cent.
      unit: printed after them.
      paper: source of the claim; empty: that of the study.
    """

    text: str
    where: str = ""
    values: np.ndarray | None = None
    accepted: tuple[float, float] = (0.0, _INF)
    right: bool | None = None
    evidence: str = ""
    scale: float = 1.0
    unit: str = ""
    paper: str = ""


def exact(text: str, right: bool | None, evidence: str, where: str = "") -> Claim:
    """A claim without chance: an identity, or a bound that every line obeys.

    Args:
      text: the claim.
      right: whether it is right.
      evidence: the numbers.
      where: what it is about.

    Returns:
      The claim.
    """
    return Claim(text, where, right=right, evidence=evidence)


class Verdict(NamedTuple):
    """A decided claim.

    Attributes:
      claim: the claim, in words.
      where: what it is about.
      kind: ``"mean"``, over seeds; or ``"exact"``, without chance.
      word: ``"shown"``, ``"contradicted"`` or ``"undecided"``.
      n: number of seeds; 0 for exact claims.
      mean: of the values; of several lines, of the line that decides.
      low: lower end of Student's 95 % interval, before Holm's correction.
      high: upper end.
      smallest: the smallest distance of the mean from the end of the accepted range
        that could have decided, after the correction.
      p: two-sided p-value before the correction.
      evidence: numbers in words.
      scale: see ``Claim``.
      unit: see ``Claim``.
      paper: see ``Claim``.
      accepted: see ``Claim``.
    """

    claim: str
    where: str
    kind: Literal["mean", "exact"]
    word: Word
    n: int
    mean: float
    low: float
    high: float
    smallest: float
    p: float
    evidence: str
    scale: float = 1.0
    unit: str = ""
    paper: str = ""
    accepted: tuple[float, float] = (0.0, _INF)

    @property
    def expected(self) -> str:
        """The range in which the claim is right, with its unit."""
        if self.kind == "exact":
            return "holds"
        low, high = (self.scale * end for end in self.accepted)
        if high == _INF:
            return f"above {low:g}{self.unit}"
        if low == -_INF:
            return f"below {high:g}{self.unit}"
        if low == -high:
            return f"within ±{high:g}{self.unit}"
        return f"{low:g} to {high:g}{self.unit}"

    @property
    def measured(self) -> str:
        """The numbers behind the verdict."""
        if self.kind == "exact":
            return self.evidence
        mean, low, high = (self.scale * x for x in (self.mean, self.low, self.high))
        text = f"{mean:+.3g} ({low:+.3g} to {high:+.3g}){self.unit}"
        return f"{text}; {self.evidence}" if self.evidence else text

    @property
    def smallest_text(self) -> str:
        """The smallest distance that could have decided, with its unit."""
        if self.kind == "exact":
            return "exact"
        return f"{self.scale * self.smallest:.3g}{self.unit}"


class _Tested(NamedTuple):
    """A claim's test: the verdict if its p-value is small enough."""

    word: Word
    p: float
    n: int
    mean: float
    error: float


def judge(claims: Sequence[Claim], confidence: float = 0.95) -> list[Verdict]:
    r"""Decide the claims of one study.

    The interval of a mean over n seeds is :math:`\bar x \pm t_{n-1} s / \sqrt n`. A
    claim on every line is shown where all lines' intervals lie in the range, and
    contradicted where one is outside at a level divided by their number.

    Args:
      claims: all claims of the study.
      confidence: of the study as a whole: the probability that no verdict but
        *undecided* is wrong.

    Returns:
      Their verdicts, in order.

    >>> better = Claim("a is better", values=np.array([0.9, 1.1, 1.0, 0.8, 1.2]))
    >>> worse = better._replace(values=-better.values)
    >>> [verdict.word for verdict in judge([better, worse])]
    ['shown', 'contradicted']
    """
    tested = [_test(claim) for claim in claims]
    places = [i for i, t in enumerate(tested) if t is not None and t.n >= FEWEST]
    ps = np.array([t.p for t in tested if t is not None and t.n >= FEWEST])
    decided, level = holm(ps, 1 - confidence)
    rejected = dict(zip(places, decided.tolist(), strict=True))
    return [
        _verdict(claim, t, confidence, rejected.get(i, False), float(level))
        for i, (claim, t) in enumerate(zip(claims, tested, strict=True))
    ]


def _test(claim: Claim) -> _Tested | None:
    if claim.values is None:
        return None
    lines = np.atleast_2d(np.asarray(claim.values, np.float64))
    n = lines.shape[1]
    if not lines.size or n < 2 or not np.all(np.isfinite(lines)):
        mean = float(lines.mean()) if lines.size else float("nan")
        return _Tested("undecided", 1.0, n, mean, float("nan"))
    least, most = claim.accepted
    means = lines.mean(axis=1)
    errors = lines.std(axis=1, ddof=1) / n**0.5
    # Distance into the range, negative outside.
    depths = np.minimum(means - least, most - means)
    ps = p_values(depths, errors, n)
    inside = depths > 0
    if inside.all():
        i = int(np.argmax(ps))
        return _Tested("shown", float(ps[i]), n, float(means[i]), float(errors[i]))
    i = int(np.argmin(np.where(inside, 2.0, ps)))
    p = min(1.0, len(lines) * float(ps[i]))
    return _Tested("contradicted", p, n, float(means[i]), float(errors[i]))


def _verdict(
    claim: Claim, t: _Tested | None, confidence: float, rejected: bool, level: float
) -> Verdict:
    none = float("nan")
    if t is None:
        word: Word = "undecided"
        if claim.right is not None:
            word = "shown" if claim.right else "contradicted"
        numbers = dict.fromkeys(("mean", "low", "high", "smallest", "p"), none)
        return Verdict(
            claim=claim.text,
            where=claim.where,
            kind="exact",
            word=word,
            n=0,
            evidence=claim.evidence,
            paper=claim.paper,
            **numbers,
        )
    half = t.error * float(critical(t.n, 1 - confidence)) if t.n > 1 else none
    smallest = t.error * float(critical(t.n, level)) if t.n > 1 else none
    evidence = claim.evidence
    bad = int(np.sum(~np.isfinite(np.asarray(claim.values, np.float64))))
    if bad:
        evidence = f"{evidence}; {bad} values not finite".removeprefix("; ")
    return Verdict(
        claim.text,
        claim.where,
        "mean",
        t.word if rejected else "undecided",
        t.n,
        t.mean,
        t.mean - half,
        t.mean + half,
        smallest,
        t.p,
        evidence,
        claim.scale,
        claim.unit,
        claim.paper,
        claim.accepted,
    )
