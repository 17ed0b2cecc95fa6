"""Made speech: vowels of several voices, as frames of a mel spectrogram."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.applications.speech_codec.config import BANDS, Config

# First three formants in Hz of five vowels, textbook averages.
VOWELS = np.array(
    [
        [730, 1090, 2440],
        [530, 1840, 2480],
        [270, 2290, 3010],
        [570, 840, 2410],
        [300, 870, 2240],
    ]
)
WIDTHS, GAINS = np.array([80, 100, 150]), np.array([1.0, 0.6, 0.3])
HARMONICS = 44


class Speech(NamedTuple):
    """Utterances.

    Attributes:
      x: ``(voices, utterances, length, bands)``, float32.
      train: of every voice the first so many are to train on.
    """

    x: np.ndarray
    train: int


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """Frequencies on the mel scale."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def filters(hertz: np.ndarray) -> np.ndarray:
    """Weights ``(..., bands)`` of triangular filters up to 4 kHz at frequencies."""
    step = mel(4000) / (BANDS + 1)
    centres = step * np.arange(1, BANDS + 1)
    return np.maximum(0, 1 - np.abs(mel(hertz)[..., None] - centres) / step)


def frames(pitch: np.ndarray, formants: np.ndarray, tilt: float) -> np.ndarray:
    """Logarithms of mel energies of voiced frames, harmonics in an envelope.

    Args:
      pitch: ``(T,)``, Hz.
      formants: ``(T, 3)``, Hz.
      tilt: exponent by which the source falls.

    Returns:
      ``(T, bands)``.
    """
    hertz = pitch[:, None] * np.arange(1, HARMONICS + 1)
    gaps = (hertz[..., None] - formants[:, None]) / WIDTHS
    envelope = np.sum(GAINS / (1 + gaps**2), axis=-1) * (hertz / 200) ** -tilt
    energy = np.einsum("tk,tkb->tb", np.square(envelope), filters(hertz))
    return np.log(energy + 1e-4)


def speech(rng: np.random.Generator, config: Config) -> Speech:
    """Random vowels of all voices, of mean 0 and deviation 1 in training.

    Args:
      rng: draws voices and vowels.
      config: the size of the application.

    Returns:
      The utterances.
    """
    pitches = rng.permutation(np.geomspace(90, 230, config.speakers))
    tracts = rng.permutation(np.linspace(0.85, 1.18, config.speakers))
    tilts = rng.uniform(0.2, 0.8, config.speakers)
    every = []
    for pitch, tract, tilt in zip(pitches, tracts, tilts, strict=True):
        own = []
        for _ in range(config.train + config.test):
            spans = rng.integers(4, 11, config.length // 4 + 1)
            said = np.repeat(rng.integers(len(VOWELS), size=len(spans)), spans)
            path = VOWELS[said[: config.length + 2]] * tract
            path = (path[:-2] + path[1:-1] + path[2:]) / 3
            drift = np.cumsum(rng.normal(size=config.length)) * 0.01
            own.append(frames(pitch * np.exp(np.clip(drift, -0.1, 0.1)), path, tilt))
        every.append(own)
    x = np.array(every)
    seen = x[:, : config.train]
    return Speech(((x - seen.mean()) / seen.std()).astype(np.float32), config.train)


def speaker_vectors(made: Speech) -> np.ndarray:
    """Vectors of utterances that tell the voice, linear discriminants.

    Directions of the means and deviations of an utterance over time that vary most
    between the training utterances of different voices, for their variance within.

    Args:
      made: the utterances.

    Returns:
      ``(voices, utterances, voices - 1)``, float32.
    """
    values = np.concatenate([made.x.mean(axis=2), made.x.std(axis=2)], axis=-1)
    values = values.astype(float)
    seen = values[:, : made.train]
    means = seen.mean(axis=1)
    apart = seen - means[:, None]
    within = np.einsum("sud,sue->de", apart, apart) / apart[..., 0].size
    root = np.linalg.cholesky(within + 1e-3 * np.eye(len(within)))
    white = np.linalg.solve(root, (means - means.mean(axis=0)).T)
    directions = np.linalg.svd(white, full_matrices=False)[0][:, : len(means) - 1]
    project = np.linalg.solve(root.T, directions)
    found = (values - means.mean(axis=0)) @ project
    scale = found[:, : made.train].std()
    return (found / scale).astype(np.float32)


def speaker_accuracy(codes: np.ndarray, train: int) -> float:
    """Share of test utterances whose voice a linear classifier reads from codes.

    Args:
      codes: ``(voices, utterances, T, d)``.
      train: of every voice the first so many fit the classifier.

    Returns:
      The share, of a ridge regression on means and deviations over time.
    """
    z = np.concatenate([codes.mean(axis=2), codes.std(axis=2)], axis=-1).astype(float)
    z = np.concatenate([z, np.ones((*z.shape[:2], 1))], axis=-1)
    voices = len(z)
    x = z[:, :train].reshape(voices * train, -1)
    y = np.repeat(np.eye(voices), train, axis=0)
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)
    said = (z[:, train:] @ weights).argmax(axis=-1)
    return float(np.mean(said == np.arange(voices)[:, None]))
