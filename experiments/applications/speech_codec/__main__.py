"""A codec of speech whose decoder is told the voice, so that the codes need not say it.

Eight made voices say random vowels. A convolutional codec with residual codes works at
three bit rates; its decoder gets nothing, a speaker vector of another utterance of the
voice, or a learned prompt from its spectrogram as well; and the codes may be pushed
away from that prompt by their structural similarity. The table says how many codes
are in use, for unused ones would make the rate a mere number.

In the standard results most codes are in use, and yet the error hardly depends on the
rate, so that the claim on rates cannot be decided at this size. Whether more steps or
larger nets would change that was not measured.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.speech_codec.codec import Arm
from experiments.applications.speech_codec.config import ARMS, FRAMES, STRIDE, Config
from experiments.applications.speech_codec.speech import (
    speaker_accuracy,
    speaker_vectors,
    speech,
)
from experiments.applications.speech_codec.training import Data, coded
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.layers import bit_rate


class Measured(NamedTuple):
    """Results of every codec.

    Attributes:
      bits: ``(rates,)``, bits a second.
      error: ``(rates, arms, seeds)``, mean squared error of test spectrograms, whose
        variance is 1.
      accuracy: likewise, of the voice from the codes.
      used: likewise, perplexity of the codes of a table.
    """

    bits: np.ndarray
    error: np.ndarray
    accuracy: np.ndarray
    used: np.ndarray


def arms(config: Config) -> list[Arm]:
    """The prompts of all arms, in their order."""
    return [
        Arm(0.0, 0.0, 0.0),
        Arm(1.0, 0.0, 0.0),
        Arm(1.0, 1.0, 0.0),
        Arm(1.0, 1.0, config.similarity),
    ]


def measure(config: Config, store: Store) -> Measured:
    """Train the codecs of all arms and seeds, one rate after another."""
    rows = store.group("rates")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    made = [speech(np.random.default_rng(s), config) for s in seeds]
    found = [
        rows.measured(f"{n} stages", lambda n=n: _of_rate(config, n, list(seeds), made))
        for n in config.stages
    ]
    bits = [
        bit_rate(FRAMES / STRIDE, stages=n, size=config.codes, groups=config.groups)
        for n in config.stages
    ]
    names = Measured._fields[1:]
    return Measured(np.array(bits), *(np.stack([r[n] for r in found]) for n in names))


def _of_rate(
    config: Config, stages: int, seeds: list[int], made: list[Any]
) -> dict[str, np.ndarray]:
    every = arms(config)
    x = np.stack([m.x for m in made] * len(every))
    vectors = np.stack([speaker_vectors(m) for m in made] * len(every))
    columns = zip(*every, strict=True)
    chosen = Arm(*(np.repeat(a, len(seeds)).astype(np.float32) for a in columns))
    found = coded(config, stages, seeds * len(every), Data(x, vectors, chosen))
    accuracy = np.array([speaker_accuracy(c, config.train) for c in found.codes])
    shape = (len(every), len(seeds))
    return {
        "error": found.error.reshape(shape),
        "accuracy": accuracy.reshape(shape),
        "used": found.used.reshape(shape),
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    gain = np.log(measured.error[:, 0] / measured.error[:, 2])
    low, high = (f"{measured.bits[i]:g} bit/s" for i in (0, -1))
    less = measured.accuracy[0, 2] - measured.accuracy[0, 3]
    return [
        Claim("prompts lower the error", low, gain[0], unit=" ln"),
        Claim(
            "the gain by prompts is smaller at the highest rate than at the lowest",
            f"{low}, {high}",
            gain[0] - gain[-1],
            unit=" ln",
        ),
        Claim(
            "the SSIM loss lowers what the codes tell of the voice",
            low,
            less,
            scale=100,
            unit=" %",
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, the table and the figure."""
    rows = []
    for i, bits in enumerate(measured.bits):
        for j, arm in enumerate(ARMS):
            own = (measured.error[i, j], 100 * measured.accuracy[i, j])
            cells = (*own, measured.used[i, j])
            texts = [
                f"{mean:.{digits}f} ± {half:.{digits}f}"
                for (mean, half), digits in zip(
                    map(mean_interval, cells), (3, 1, 1), strict=True
                )
            ]
            rows.append((f"{bits:g}", arm, *texts))
    table = Table(
        f"{config.speakers} voices, {config.steps} steps, means over {config.seeds} "
        "seeds (95 % intervals)",
        (
            "bit/s",
            "decoder",
            "error of the spectrogram",
            "voice from codes, %",
            f"codes in use of {config.codes}",
        ),
        rows,
    )
    return Report(measured._asdict(), [table], {"rates": _figure(measured)})


def _figure(measured: Measured) -> Any:
    figure, axes = figures.grid(1, 2, 9, 3.6)
    looks = zip(
        ARMS,
        (figures.GREY, figures.BLUE, figures.GREEN, figures.ORANGE),
        ("-", "--", "-.", ":"),
        strict=True,
    )
    for j, (arm, colour, dashes) in enumerate(looks):
        for axis, values in zip(
            axes[0], (measured.error, 100 * measured.accuracy), strict=True
        ):
            mean, half = np.transpose([mean_interval(v) for v in values[:, j]])
            axis.errorbar(
                measured.bits,
                mean,
                np.nan_to_num(half),
                color=colour,
                linestyle=dashes,
                marker="o",
                capsize=2,
                label=arm,
            )
    labels = ("mean squared error", "voice read from the codes, %")
    for axis, label in zip(axes[0], labels, strict=True):
        axis.set_xlabel("bit/s")
        axis.set_xticks(measured.bits)
        axis.set_ylabel(label)
        figures.tidy(axis)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=len(names), frameon=False
    )
    return figure


APPLICATION = Application(
    name="speech_codec",
    parts=("residual_vector_quantizer",),
    purpose="Speech coded at three bit rates, with a decoder that is told the voice by "
    "prompts. quick: 15 s; standard: five seeds.",
    sizes={
        QUICK: Config(seeds=1, steps=60, train=12, test=4, stages=(1,)),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    paper="PSCodec 2024, from the abstract; all sizes are ours",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
