"""Mean scores under corruptions."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import mean_corruption_score


def test_means_over_corruptions_and_severities_for_each_seed():
    rng = np.random.default_rng(0)
    clean, corrupted = rng.uniform(0.5, 1, 3), rng.uniform(0, 1, (4, 5, 3))
    found = mean_corruption_score(clean, corrupted)
    pairs = list(np.ndindex(4, 5))
    wanted = [np.mean([corrupted[c, s, i] for c, s in pairs]) for i in range(3)]
    np.testing.assert_allclose(found.mean, wanted, rtol=1e-14)
    np.testing.assert_allclose(found.relative, wanted / clean, rtol=1e-14)


def test_a_perfect_model_has_one_and_a_useless_one_nothing():
    assert mean_corruption_score(1.0, np.ones((9, 5))) == (1.0, 1.0)
    useless = mean_corruption_score(0.0, np.zeros((9, 5)))
    assert useless.mean == 0 and np.isnan(useless.relative)


def test_scores_that_do_not_fit():
    with pytest.raises(InputError, match=r"\(corruptions, severities, \*\(3,\)\)"):
        mean_corruption_score(np.ones(3), np.ones((4, 5)))
    with pytest.raises(InputError, match="at least one of each"):
        mean_corruption_score(1.0, np.ones((0, 5)))
    with pytest.raises(InputError, match="must be at least 0"):
        mean_corruption_score(1.0, -np.ones((4, 5)))
