"""Made concerts, recordings of them, and WAV files in their place."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.applications.audio_fingerprints.config import RATE, Config
from jaxopt_lab.core.errors import InputError


class Clips(NamedTuple):
    """Recordings, and the truth about them.

    Attributes:
      sounds: each ``(samples,)``.
      event: the concert of each; those of unrelated ones differ from all others.
      start: second of the concert at which each begins.
      snr: signal over noise of each, dB.
    """

    sounds: list[np.ndarray]
    event: np.ndarray
    start: np.ndarray
    snr: np.ndarray

    def seconds(self) -> np.ndarray:
        """The length of each."""
        return np.array([len(sound) / RATE for sound in self.sounds])


def concert(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Random chords with decays, and clicks.

    Args:
      rng: draws them.
      seconds: length.

    Returns:
      ``(samples,)``, of deviation 1.
    """
    sound = np.zeros(int(seconds * RATE))
    at = 0.0
    while at < seconds:
        begin = int(at * RATE)
        time = np.arange(min(RATE, len(sound) - begin)) / RATE
        for _ in range(3):
            note = 110 * 2 ** (rng.integers(0, 36) / 12)
            decay = np.exp(-rng.uniform(2, 8) * time)
            for harmonic in range(1, 6):
                phase = rng.uniform(0, 2 * np.pi)
                if harmonic * note < RATE / 2:
                    wave = np.sin(2 * np.pi * harmonic * note * time + phase)
                    sound[begin : begin + len(time)] += wave * decay / harmonic
        if rng.random() < 0.5:
            click = rng.normal(size=80) * np.exp(-np.arange(80) / 20)
            part = sound[begin : begin + 80]
            part += 2 * click[: len(part)]
        at += rng.uniform(0.15, 0.5)
    return sound / np.std(sound)


def recorded(rng: np.random.Generator, sound: np.ndarray, snr: float) -> np.ndarray:
    """A bad recording: low pass, clipping, noise and a gain.

    Args:
      rng: draws cut-off, clipping and gain.
      sound: ``(samples,)``.
      snr: dB.

    Returns:
      As ``sound``.
    """
    spectrum = np.fft.rfft(sound)
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum /= 1 + (frequency / rng.uniform(1500, 3500)) ** 4
    sound = np.fft.irfft(spectrum, len(sound))
    sound = np.clip(sound / np.std(sound), -1, 1) if rng.random() < 0.5 else sound
    noise = rng.normal(size=len(sound)) * np.std(sound) * 10 ** (-snr / 20)
    return (sound + noise) * 10 ** rng.uniform(-1, 1)


def clips(
    rng: np.random.Generator, config: Config, sources: list[np.ndarray] | None = None
) -> Clips:
    """Recordings of concerts, and unrelated ones with a jingle.

    Args:
      rng: draws all of them.
      config: the size of the application.
      sources: sounds that take the place of made concerts.

    Returns:
      The recordings, in random order.
    """
    events = sources or [concert(rng, config.seconds) for _ in range(config.concerts)]
    jingle = concert(rng, config.jingle)
    found = []
    for n in range(config.clips + config.unrelated):
        length = int(rng.uniform(config.shortest, config.longest) * RATE)
        snr = rng.uniform(0, 20)
        if n < config.clips:
            event = int(rng.integers(len(events)))
            length = min(length, len(events[event]))
            start = int(rng.integers(len(events[event]) - length + 1))
            sound = events[event][start : start + length]
        else:
            event, start = len(events) + n, 0
            sound = concert(rng, length / RATE)
            at = int(rng.integers(length - len(jingle)))
            sound[at : at + len(jingle)] = jingle
        found.append((recorded(rng, sound, snr), event, start / RATE, snr))
    order = rng.permutation(len(found))
    sounds, event, start, snr = zip(*(found[i] for i in order), strict=True)
    return Clips(list(sounds), *map(np.array, (event, start, snr)))


def read_sounds(folder: Path, seconds: float) -> list[np.ndarray]:
    """All WAV files of a folder, mono, at the rate of the application.

    Args:
      folder: of the files.
      seconds: those that are shorter are left out.

    Returns:
      Sounds of deviation 1, in the order of their names.

    Raises:
      InputError: a file cannot be read, or none is long enough.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    found = []
    for path in sorted(folder.glob("*.wav")):
        try:
            rate, sound = wavfile.read(path)
        except (OSError, ValueError, EOFError, struct.error) as error:
            raise InputError(f"cannot read {path}: {error}") from None
        sound = np.asarray(sound, float)
        sound = sound if sound.ndim == 1 else sound.mean(axis=1)
        sound = resample_poly(sound, RATE, rate)
        if len(sound) >= seconds * RATE and np.std(sound) > 0:
            found.append(sound / np.std(sound))
    if not found:
        raise InputError(
            f"audio={folder} has no WAV file of {seconds:g} seconds or more"
        )
    return found
