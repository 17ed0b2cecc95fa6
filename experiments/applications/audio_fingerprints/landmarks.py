"""Landmarks of sounds, and the pairs of sounds that share them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.applications.audio_fingerprints.config import HOP, RATE, WINDOW
from jaxopt_lab.core.errors import InputError

BINS, FRAMES = 31, 15
PER_SECOND = 20
FAN, FARTHEST, HIGHEST = 5, 63, 31


class Landmarks(NamedTuple):
    """Pairs of spectral peaks.

    Attributes:
      code: ``(n,)``, bin of the first peak (8 bits), step to the second (6), frames
        between them (6).
      time: ``(n,)``, frame of the first peak.
    """

    code: np.ndarray
    time: np.ndarray


class Pairs(NamedTuple):
    """Pairs of sounds a < b with equal landmarks.

    Attributes:
      a: ``(pairs,)``, number of the first sound.
      b: of the second.
      matches: equal landmarks at the most frequent offset, one frame more or less.
      offset: that offset, the frames by which b begins after a.
      second: the matches at the next best offset.
    """

    a: np.ndarray
    b: np.ndarray
    matches: np.ndarray
    offset: np.ndarray
    second: np.ndarray


def peaks(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins and frames of the spectral peaks, in the order of time.

    Maxima of their neighbourhood of 31 bins and 15 frames that are above its median,
    and no more than 20 a second, those that stand out most.

    Args:
      sound: ``(samples,)``.

    Returns:
      ``(bins, frames)``.

    Raises:
      InputError: the sound is shorter than a window, or silent.
    """
    from scipy.ndimage import maximum_filter

    if len(sound) < WINDOW or not np.any(sound):
        raise InputError(
            f"a sound of {len(sound)} samples is empty; accepted: at least {WINDOW} "
            "samples that are not all 0"
        )
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    size = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))[:, :256].T
    level = np.log(size + 1e-6 * size.max())
    top = level == maximum_filter(level, (BINS, FRAMES), mode="nearest")
    bins, times = np.nonzero(top)
    around = np.pad(level, ((BINS // 2,) * 2, (FRAMES // 2,) * 2), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(around, (BINS, FRAMES))
    excess = level[bins, times] - np.median(patches[bins, times], axis=(1, 2))
    # A plateau, such as digital silence, is no peak.
    kept = np.flatnonzero(excess > 0)
    most = max(1, int(PER_SECOND * len(sound) / RATE))
    kept = kept[np.argsort(-excess[kept], kind="stable")[:most]]
    kept = kept[np.lexsort((bins[kept], times[kept]))]
    return bins[kept], times[kept]


def landmarks(sound: np.ndarray) -> Landmarks:
    """Each peak with the next five that are near.

    Args:
      sound: ``(samples,)``.

    Returns:
      The landmarks, in the order of time.

    Raises:
      InputError: the sound is empty or has no landmark.
    """
    bins, times = peaks(sound)
    codes, starts = [], []
    for i, (f, t) in enumerate(zip(bins, times, strict=True)):
        step, wait = bins[i + 1 :] - f, times[i + 1 :] - t
        near = (wait >= 1) & (wait <= FARTHEST) & (np.abs(step) <= HIGHEST)
        at = np.flatnonzero(near)[:FAN]
        codes.append((f << 12) | ((step[at] + 32) << 6) | wait[at])
        starts.append(np.full(len(at), t))
    found = Landmarks(np.concatenate([*codes, []]), np.concatenate([*starts, []]))
    if not len(found.code):
        raise InputError("the sound has no landmarks; accepted: some with tones")
    return Landmarks(*(x.astype(np.int64) for x in found))


def pairs(sounds: list[Landmarks]) -> Pairs:
    """The pairs of sounds that share landmarks, by an index sorted by code.

    Args:
      sounds: landmarks of each.

    Returns:
      Pairs of different sounds.
    """
    code = np.concatenate([s.code for s in sounds])
    owner = np.repeat(np.arange(len(sounds)), [len(s.code) for s in sounds])
    time = np.concatenate([s.time for s in sounds])
    order = np.argsort(code, kind="stable")
    code, owner, time = code[order], owner[order], time[order]
    found = [np.zeros((3, 0), np.int64)]
    lag = 1
    # In the sorted index equal codes are neighbours: distances until none is equal.
    while lag < len(code) and np.any(same := code[lag:] == code[:-lag]):
        i = np.flatnonzero(same)
        a, b, shift = owner[i], owner[i + lag], time[i] - time[i + lag]
        found.append(np.stack([a, b, shift])[:, a != b])
        lag += 1
    a, b, shift = np.concatenate(found, axis=1)
    turned = a > b
    a, b = np.where(turned, b, a), np.where(turned, a, b)
    return _best(a, b, np.where(turned, -shift, shift), len(sounds))


def _best(a: np.ndarray, b: np.ndarray, shift: np.ndarray, count: int) -> Pairs:
    """The most frequent offsets, a bin more or less, of each pair."""
    reach = 4 + 2 * int(np.max(np.abs(shift), initial=0))
    pair = a * count + b
    key, times = np.unique(pair * 2 * reach + shift + reach, return_counts=True)
    total = times.copy()
    for step in (-1, 1):
        at = np.minimum(np.searchsorted(key, key + step), len(key) - 1)
        total += np.where(key[at] == key + step, times[at], 0)
    pair, offset = key // (2 * reach), key % (2 * reach) - reach
    # Most matches first; of equal ones the fullest bin, then the least offset.
    order = np.lexsort((np.abs(offset), -times, -total, pair))
    pair, offset, total = pair[order], offset[order], total[order]
    _, first, own = np.unique(pair, return_index=True, return_inverse=True)
    apart = np.abs(offset - offset[first][own]) > 2
    second = np.zeros(len(first), np.int64)
    np.maximum.at(second, own, np.where(apart, total, 0))
    numbers = pair[first] // count, pair[first] % count
    return Pairs(*numbers, total[first], offset[first], second)
