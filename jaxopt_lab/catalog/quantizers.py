"""The rows of quantizers, merging and pruning."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Quantizer

_NEAREST = "jaxopt_lab.quantize:round_to_nearest"
_EXACT = Neutral({"bits": 8}, "jax.numpy:asarray", note="of weights on the grid")

ROWS: tuple[Quantizer, ...] = (
    Quantizer(
        name="nearest_linear",
        summary="round to the nearest code of the signed linear grid",
        build=_NEAREST,
        reduces_to=_EXACT,
        options=("codec", "bits"),
        example="jaxopt_lab.catalog.examples.matrices:coarse",
        bits="bits",
        calibration=False,
        bytes="bits / 8",
        vectors="linear_quant",
        paper="Chitsaz et al. 2024, arXiv:2407.11722",
        code="chandar-lab/EfficientLLMs",
    ),
    Quantizer(
        name="nearest_gptq",
        summary="round to the nearest code of the unsigned grid of GPTQ",
        build=_NEAREST,
        reduces_to=_EXACT,
        options=("codec", "bits"),
        overrides={"codec": "gptq"},
        example="jaxopt_lab.catalog.examples.matrices:coarse_unsigned",
        bits="bits",
        calibration=False,
        bytes="bits / 8",
        vectors="quantease",
        paper="Frantar et al. 2023, arXiv:2210.17323",
        code="IST-DASLab/gptq",
    ),
    Quantizer(
        name="gptq",
        summary="columns rounded in turn, the error of each made good in the rest",
        build="jaxopt_lab.quantize:gptq",
        reduces_to=_EXACT,
        options=("codec", "bits", "damping", "order", "block_size", "static_groups"),
        example="jaxopt_lab.catalog.examples.matrices:coarse_unsigned",
        bits="bits",
        calibration=True,
        bytes="bits / 8",
        vectors="quantease",
        paper="Frantar et al. 2023, arXiv:2210.17323",
        code="IST-DASLab/gptq",
        known_failures={
            "permutation": "columns are rounded in the order in which they are given",
        },
        full="the start of quantease; its recorded codes are plain",
    ),
    Quantizer(
        name="quantease",
        summary="cyclic coordinate descent over the columns, from GPTQ's codes",
        build="jaxopt_lab.quantize:quantease",
        reduces_to=_EXACT,
        options=("codec", "bits", "sweeps", "init", "relax", "order", "block_size"),
        example="jaxopt_lab.catalog.examples.matrices:coarse_unsigned",
        bits="bits",
        calibration=True,
        bytes="bits / 8",
        never_worse_than="gptq",
        vectors="quantease",
        paper="Behdin et al. 2023, arXiv:2309.01885",
        code="linkedin/QuantEase",
        known_failures={
            "bfloat16": "weights rounded to bfloat16 end in other minima",
            "permutation": "columns are rounded in the order in which they are given",
        },
    ),
)
