"""The study on lossless codes at a tiny size, and its PNG."""

import dataclasses
import json
import struct
import zlib

import jax
import numpy as np
import pytest

from experiments.studies.lossless.__main__ import STUDY
from experiments.studies.lossless.claims import claims
from experiments.studies.lossless.config import SIZES
from experiments.studies.lossless.measure import Measured
from experiments.studies.lossless.png import png_bytes

TINY = dataclasses.replace(
    SIZES["quick"], seeds=1, train=40, test=4, alone=1, states=2, steps=2
)


def pixels(png):
    """The grey levels of a PNG, by the standard's filters, a byte after the other."""
    width, height = struct.unpack(">II", png[16:24])
    at, body = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    data, found = zlib.decompress(body), np.zeros((height, width), int)
    for y in range(height):
        kind, *row = data[y * (width + 1) : (y + 1) * (width + 1)]
        for x in range(width):
            a = found[y, x - 1] if x else 0
            b = found[y - 1, x] if y else 0
            c = found[y - 1, x - 1] if x and y else 0
            guess = min((a, b, c), key=lambda v: abs(a + b - c - v))
            found[y, x] = (row[x] + (0, a, b, (a + b) // 2, guess)[kind]) % 256
    return found


def test_a_png_holds_the_image():
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(5), 3 * np.arange(7)) % 256
    for image in (rng.integers(0, 256, (6, 5)), ramp, np.zeros((2, 3), int)):
        np.testing.assert_array_equal(pixels(png_bytes(image.astype(np.uint8))), image)


def test_claims_follow_from_the_numbers():
    one = np.ones(2)
    measured = Measured(
        one, 1.005 * one, 0 * one, one, 1.5 * one, 2 * one, one, 40 * one
    )
    back, alone, near, png, zlib_, with_model = claims(measured, TINY)
    assert back.right and alone.right
    np.testing.assert_allclose(near.values, 0.005)
    assert np.all(png.values > 0) and np.all(zlib_.values > 0)
    assert np.all(with_model.values < 0)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    measured = record["measured"]
    assert measured["whole"] == [1.0] and measured["over"][0] <= 64
