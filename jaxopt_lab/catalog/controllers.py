"""The rows of controllers."""

from __future__ import annotations

import math

from jaxopt_lab.catalog.schema import Controller, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.decisions"
_MOMENTS = tuple(f"{side}_m{i}" for side in ("source", "target") for i in (1, 2, 3, 4))

ROWS: tuple[Controller, ...] = (
    Controller(
        name="norm_test",
        summary="larger batches once the noise dominates the gradient",
        build="jaxopt_lab.controllers:norm_test",
        reduces_to=Neutral({"eta": math.inf}, "jaxopt_lab.controllers:constant"),
        topic="batch size",
        options=("eta", "micro_batch", "start_batch", "max_batch", "interval"),
        example=f"{_EXAMPLES}:gradient_statistics",
        reads=("variance", "grad_norm_sq"),
        decides="micro-batches a step (accumulation)",
        period="interval",
        vectors="adadagrad",
        paper="Lau, Liu and Kolar 2024, arXiv:2402.11215",
        code="timlautk/AdAdaGrad",
    ),
    Controller(
        name="augmented_test",
        summary="larger batches until the gradients of examples agree with their mean",
        build="jaxopt_lab.controllers:augmented_test",
        reduces_to=Neutral(
            {"theta": math.inf, "nu": math.inf}, "jaxopt_lab.controllers:constant"
        ),
        topic="batch size",
        options=(
            "theta",
            "nu",
            "micro_batch",
            "start_batch",
            "max_batch",
            "interval",
        ),
        example=f"{_EXAMPLES}:projected_statistics",
        reads=("inner_variance", "orthogonal_variance", "grad_norm_sq"),
        decides="micro-batches a step (accumulation)",
        period="interval",
        vectors="adadagrad",
        paper="Lau, Liu and Kolar 2024, arXiv:2402.11215",
        code="timlautk/AdAdaGrad",
    ),
    Controller(
        name="coordinate_test",
        summary="larger batches until the noisiest entry of the gradient passes",
        build="jaxopt_lab.controllers:coordinate_test",
        reduces_to=Neutral({"eta": math.inf}, "jaxopt_lab.controllers:constant"),
        topic="batch size",
        options=("eta", "micro_batch", "start_batch", "max_batch", "interval"),
        example=f"{_EXAMPLES}:coordinate_ratios",
        reads=("coordinate_ratio",),
        decides="micro-batches a step (accumulation)",
        period="interval",
        vectors="adadagrad",
        paper="Lau, Liu and Kolar 2024, arXiv:2402.11215",
    ),
    Controller(
        name="noise_scale_batch",
        summary="a batch in proportion to the gradient noise scale, up and down",
        build="jaxopt_lab.controllers:noise_scale_batch",
        reduces_to=Neutral({"factor": 0.0}, "jaxopt_lab.controllers:constant"),
        topic="batch size",
        options=("factor", "decay", "micro_batch", "start_batch", "max_batch"),
        example=f"{_EXAMPLES}:noise_scales",
        reads=("variance", "grad_norm_sq"),
        decides="micro-batches a step (accumulation)",
        paper="McCandlish et al. 2018, arXiv:1812.06162",
    ),
    Controller(
        name="rate_by_examples",
        summary="warm-up and cosine by examples seen, where the batch grows",
        build="jaxopt_lab.controllers:rate_by_examples",
        reduces_to=Neutral(
            {"warmup": 0.0, "last": 1.0}, "jaxopt_lab.controllers:constant_rate"
        ),
        topic="learning rate",
        options=("learning_rate", "total_examples", "warmup", "last"),
        example=f"{_EXAMPLES}:batches_of_a_run",
        reads=("batch",),
        decides="learning_rate",
        paper="Lau, Liu and Kolar 2024, arXiv:2402.11215",
        code="timlautk/AdAdaGrad",
    ),
    Controller(
        name="spectral_rates",
        summary="learning rate and momentum from the ends of the Hessian's spectrum",
        build="jaxopt_lab.controllers:spectral_rates",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.controllers:constant_rates"),
        topic="learning rate",
        options=(
            "weight",
            "learning_rate",
            "momentum",
            "max_learning_rate",
            "max_momentum",
        ),
        example=f"{_EXAMPLES}:spectra",
        reads=("largest_eigenvalue", "lowest_eigenvalue"),
        decides="learning_rate, momentum",
        paper="Granziol, Zohren and Roberts 2020, arXiv:2006.09092",
    ),
    Controller(
        name="activation_stopping",
        summary="early stopping where activations on target and source part (ABE)",
        build="jaxopt_lab.controllers:activation_stopping",
        reduces_to=Neutral(
            {"threshold": math.inf}, "jaxopt_lab.controllers:validation_stopping"
        ),
        topic="meta-learning",
        options=("threshold", "select", "smooth", "patience"),
        example=f"{_EXAMPLES}:activations_of_a_run",
        reads=("source_accuracy", *_MOMENTS),
        decides="the checkpoint to keep, and whether to stop",
        vectors="abe",
        paper="Guiroy et al. 2022, arXiv:2208.02377",
        code="the authors' notebook",
    ),
)
