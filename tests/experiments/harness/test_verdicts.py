"""The one rule of verdicts, against scipy and by its error rates."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.harness.verdicts import FEWEST, Claim, exact, judge

RISING = np.array([0.9, 1.1, 1.0, 0.8, 1.2])


def one(values, accepted=(0.0, math.inf), **more):
    (verdict,) = judge([Claim("c", "w", np.asarray(values), accepted, **more)])
    return verdict


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(0.3, 1.0, 7)
    found = one(values)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-12)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    assert found.n == 7 and found.smallest == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(
    ("values", "accepted", "word"),
    [
        (RISING, (0.0, math.inf), "shown"),
        (-RISING, (0.0, math.inf), "contradicted"),
        (RISING - 1, (0.0, math.inf), "undecided"),
        (RISING, (0.0, 2.0), "shown"),
        (RISING, (2.0, 3.0), "contradicted"),
        (RISING, (1.1, 3.0), "undecided"),
        (RISING, (0.95, 1.05), "undecided"),
        (RISING[:4], (0.0, math.inf), "undecided"),
        (np.full(5, 0.1), (0.0, math.inf), "shown"),
        (np.zeros(5), (0.0, math.inf), "undecided"),
        ([1.0, 1.0, 1.0, 1.0, math.inf], (0.0, math.inf), "undecided"),
        ([], (0.0, math.inf), "undecided"),
    ],
)
def test_words(values, accepted, word):
    assert one(values, accepted).word == word


def test_the_word_follows_from_the_interval():
    draws = np.random.default_rng(1).normal(0.5, 1.0, (200, FEWEST))
    for values in draws:
        found = one(values, (0.0, 1.0))
        inside = found.low > 0 and found.high < 1
        outside = found.high < 0 or found.low > 1
        expected = "shown" if inside else "contradicted" if outside else "undecided"
        assert found.word == expected
        # The smallest distance from an end of the range that decides.
        depth = min(found.mean, 1 - found.mean)
        assert (abs(depth) > found.smallest) == (expected != "undecided")


def test_holms_step_down():
    noise = np.array([-1.0, 1.0, -1.0, 1.0, 0.0, 0.0])
    # p about 0.002, 0.02 and 0.03: at 0.05 / 3 and / 2 only the first is left.
    claims = [Claim("c", values=noise + shift) for shift in (2.2, 1.35, 1.1)]
    ps = [stats.ttest_1samp(c.values, 0.0).pvalue for c in claims]
    assert ps[0] < 0.05 / 3 and ps[1] < 0.05 / 2 and ps[2] < 0.05
    found = judge(claims)
    assert [v.word for v in found] == ["shown"] * 3
    found = judge([*claims, *(Claim("c", values=noise + 1e-3) for _ in range(4))])
    words = ["shown" if p <= 0.05 / (7 - i) else "undecided" for i, p in enumerate(ps)]
    assert "undecided" in words and [v.word for v in found[:3]] == words
    assert found[2].smallest > one(claims[2].values).smallest


def test_all_claims_together_are_seldom_wrong():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        claims = [Claim("c", values=x) for x in rng.normal(size=(6, 5))]
        wrong += any(v.word != "undecided" for v in judge(claims))
    assert wrong / 400 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)


def test_a_claim_on_every_line():
    lines = RISING + np.array([[0.0], [1.0], [2.0]])
    assert one(lines).word == "shown" and one(lines).mean == pytest.approx(1.0)
    broken = np.concatenate([lines, -lines[:1]])
    assert one(broken).word == "contradicted"
    assert one(np.concatenate([lines, RISING[None] - 1])).word == "undecided"
    # One of two lines outside: its p-value counts twice.
    alone = one(-RISING[None])
    assert one(np.stack([RISING, -RISING])).p == pytest.approx(2 * alone.p)


def test_exact_claims_and_texts():
    words = [judge([exact("c", right, "1.0 to 1.2")])[0] for right in (1, 0, None)]
    assert [v.word for v in words] == ["shown", "contradicted", "undecided"]
    assert words[0].kind == "exact" and words[0].measured == "1.0 to 1.2"
    assert words[0].smallest_text == "exact"
    found = one(RISING, scale=100, unit=" points", evidence="over seeds")
    assert found.measured.startswith("+100 (+80.4 to +120) points; over seeds")
    assert found.smallest_text == "19.6 points"
    diverged = one([1.0, 1.0, math.nan, 1.0, math.inf])
    assert "2 values not finite" in diverged.measured


def test_exact_claims_do_not_share_the_error_rate():
    beside = [exact("c", True, "") for _ in range(50)]
    assert judge([Claim("c", values=RISING), *beside])[0].word == "shown"
