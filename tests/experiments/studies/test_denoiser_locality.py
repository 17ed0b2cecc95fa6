"""The study on the locality of denoisers: masks, correlations, choice of patches."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.denoiser_locality.__main__ import STUDY
from experiments.studies.denoiser_locality.claims import best_squares
from experiments.studies.denoiser_locality.config import SIZES
from experiments.studies.denoiser_locality.measure import correlations, patches

TINY = dataclasses.replace(
    SIZES["quick"], radii=(1, 7), test=2, data=20, width=4, batch=4, steps=2
)


def test_patches_are_squares_around_a_pixel():
    mask = patches(8, 2)[8 * 3 + 4].reshape(8, 8)
    wanted = np.zeros((8, 8))
    wanted[1:6, 2:7] = 1
    np.testing.assert_array_equal(mask, wanted)
    assert patches(8, 7).all()


def test_correlations_are_of_rows_of_pixels_that_vary():
    rng = np.random.default_rng(0)
    filters, found = rng.normal(size=(2, 5, 5))
    np.fill_diagonal(filters, [1, 1, 0, 1, 1e-6])
    wanted = np.mean([np.corrcoef(found[p], filters[p])[0, 1] for p in (0, 1, 3)])
    np.testing.assert_allclose(correlations(found[None], filters), [wanted])


def test_a_seed_has_the_radius_of_the_others():
    values = np.zeros((2, 1, 1, 3))
    # The first radius is the best for one seed by far: its own value does not count.
    values[0, 0, 0] = [9.0, 0.0, 0.0]
    values[1, 0, 0] = [1.0, 1.0, 1.0]
    assert best_squares(values).tolist() == [[[1.0, 0.0, 0.0]]]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["measured"]["agreement"]["local"]) == (2, 2, 2)
    assert np.shape(record["measured"]["correlation"]) == (2, 1, 2)
