"""The study on metrics of sets: its sets and its claims."""

import numpy as np

from experiments.studies.set_metrics.claims import claims, report
from experiments.studies.set_metrics.config import SIZES
from experiments.studies.set_metrics.measure import WAYS, Measured, spoiled

CONFIG = SIZES["quick"]


def test_sets_are_spoiled_as_they_say():
    def made(way, level):
        return spoiled(np.random.default_rng(0), way, level, CONFIG)

    real, good = made("noise", 0.0)
    assert real.shape == good.shape == (100, 2) and real.dtype == np.float32
    radius = lambda x: np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(radius(good), 5, atol=1.5)
    same, noisy = made("noise", 2.0)
    np.testing.assert_array_equal(same, real)
    assert radius(noisy).std() > 1
    # Two modes: at the right, and a tenth of the circle further.
    assert (made("kept", 2)[1][:, 0] > 2).all()
    share = (radius(made("invented", 10)[1]) > 7.5).mean()
    assert 0.3 < share < 0.7


def test_a_claim_is_of_the_steps_between_levels():
    values = np.array([[0.9, 0.8], [0.5, 0.7]])
    name = "knn_coverage, k=5: precision"
    measured = Measured(*({name: values} for _ in WAYS))
    found = claims(measured, CONFIG)
    assert [c.where for c in found] == [name] * 2
    assert [c.text.split()[-1] for c in found] == ["noise", "modes"]
    for claim in found:
        assert claim.values is not None and claim.paper
        np.testing.assert_allclose(claim.values, [[0.4, 0.1]])
    assert len(report(measured, CONFIG).tables) == 3
