"""Bits of digits in several lossless codes."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.codecs.circuit import fit_circuit
from experiments.codecs.stream import compress, decompress, sizes
from experiments.harness.store import Store
from experiments.studies.lossless.config import Config
from experiments.studies.lossless.png import png_bytes
from jaxopt_lab.data import load_digits

LEVELS = 17


class Measured(NamedTuple):
    """Everything that is measured; ``(seeds,)`` each, bits a pixel if not said.

    Attributes:
      ideal: by the circuit's likelihood.
      coded: of the words and the head of the coder.
      header: of the stream.
      model: of the circuit, divided by the same pixels.
      png: of one PNG of all digits below each other.
      zlib: of one zlib stream of all of them, a byte a pixel.
      whole: 1 if all digits came back, else 0.
      over: bits of the worst single digit's code, head included, above its likelihood.
    """

    ideal: np.ndarray
    coded: np.ndarray
    header: np.ndarray
    model: np.ndarray
    png: np.ndarray
    zlib: np.ndarray
    whole: np.ndarray
    over: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Fit a circuit for each seed and code other digits; see ``Experiment.measure``."""
    digits = load_digits()
    images = np.concatenate([digits.train["image"], digits.test["image"]])
    pixels = np.round(images * (LEVELS - 1)).astype(np.int64).reshape(len(images), -1)
    rows, found = store.group("seeds"), []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        take = lambda seed=seed: _of_seed(seed, pixels, config)
        found.append(rows.measured(str(seed), take))
    return Measured(*(np.array([r[n] for r in found]) for n in Measured._fields))


def _of_seed(
    seed: int, pixels: NDArray[np.int64], config: Config
) -> dict[str, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(pixels))
    train = pixels[order[: config.train]]
    test = pixels[order[config.train : config.train + config.test]]
    circuit, _ = fit_circuit(
        jax.random.key(seed),
        train,
        classes=LEVELS,
        states=config.states,
        steps=config.steps,
        pseudocount=config.pseudocount,
    )
    stream = compress(circuit, test, precision=config.precision)
    counted = sizes(circuit, test, stream)
    over = []
    for one in test[: config.alone, None]:
        own = sizes(circuit, one, compress(circuit, one, precision=config.precision))
        over.append(own.coded + own.head - own.ideal)
    grey = test.astype(np.uint8)
    side = round(grey.shape[1] ** 0.5)
    bits = {
        "ideal": counted.ideal,
        "coded": counted.coded + counted.head,
        "header": counted.header,
        "model": counted.model,
        "png": 8 * len(png_bytes(grey.reshape(-1, side))),
        "zlib": 8 * len(zlib.compress(grey.tobytes(), 9)),
    }
    found = {name: np.asarray(value / test.size) for name, value in bits.items()}
    found["whole"] = np.asarray(
        float(np.array_equal(decompress(circuit, stream), test))
    )
    return {**found, "over": np.asarray(max(over))}
