"""The rows of controllers."""

from __future__ import annotations

import math

from jaxopt_lab.catalog.schema import Controller, Neutral

ROWS: tuple[Controller, ...] = (
    Controller(
        name="norm_test",
        summary="larger batches once the noise dominates the gradient",
        build="jaxopt_lab.controllers:norm_test",
        reduces_to=Neutral({"eta": math.inf}, "jaxopt_lab.controllers:constant"),
        topic="batch size",
        options=("eta", "micro_batch", "start_batch", "max_batch", "interval"),
        example="jaxopt_lab.catalog.examples.decisions:gradient_statistics",
        reads=("variance", "grad_norm_sq"),
        decides="micro-batches a step (accumulation)",
        period="interval",
        vectors="adadagrad",
        paper="Lau, Liu and Kolar 2024, arXiv:2402.11215",
        code="timlautk/AdAdaGrad",
    ),
)
