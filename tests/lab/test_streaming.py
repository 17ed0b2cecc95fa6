"""Large sets from their folder: resized, shuffled, trained on."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.digits import load_digits
from jaxopt_lab.lab import runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.streaming import Resize


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    load_digits(root)
    return root


def words(folder, *more):
    first = ["task=tfds:digits", f"data_dir={folder}", "image_size=12", "model=mlp"]
    return [*first, "model.width=8", "batch_size=4", *more]


def test_a_central_square_keeps_its_pixels():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    got = Resize(4)({"image": image, "label": 1})
    np.testing.assert_array_equal(got["image"], image[:, 1:5])
    assert got["label"] == 1


def test_flips_half_and_crops_inside():
    image = np.zeros((8, 8, 1), np.uint8)
    image[:, :4] = 200
    rng = np.random.default_rng(0)
    flipped = [
        Resize(8, flip=True)({"image": image}, rng)["image"][0, 0, 0] == 0
        for _ in range(200)
    ]
    assert 70 < sum(flipped) < 130
    crops = [Resize(8, crop=True)({"image": image}, rng)["image"] for _ in range(50)]
    assert all(c.shape == (8, 8, 1) and c.max() <= 200 for c in crops)
    assert len({c.tobytes() for c in crops}) > 40


@pytest.mark.full
def test_a_streamed_set_trains_and_is_evaluated_whole(folder):
    program = runs.assemble(parse(words(folder, "augment=crop_flip", "seeds=2")))
    batch = program.batches.next()
    assert batch["image"].shape == (2, 4, 12, 12, 1)
    assert (batch["label"][0] != batch["label"][1]).any()
    state, metrics = jax.jit(program.step)(program.state, batch)
    assert np.isfinite(metrics["loss"]).all()
    counted = program.evaluate(state)["accuracy"] * 360
    np.testing.assert_allclose(counted, np.round(counted), atol=1e-3)


@pytest.mark.parametrize(
    "given, said",
    [
        (["task=digits", "image_size=16"], "image_size=16 is for sets of TFDS"),
        (["task=text", "model.width=8", "augment=flip"], "augment=flip is for images"),
        (["task=text", "model.width=8", "image_size=9"], "image_size=9 is for images"),
    ],
)
def test_sizes_and_augmentation_that_do_not_fit(given, said):
    with pytest.raises(InputError, match=said):
        runs.assemble(parse(given))
