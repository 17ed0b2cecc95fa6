"""The rows of estimators."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Estimator, Neutral

_ROOM = "jaxopt_lab.metrics.temperature_scaling"

ROWS: tuple[Estimator, ...] = (
    Estimator(
        name="temperature_scaling",
        summary="one temperature that calibrates the probabilities of a classifier",
        build=f"{_ROOM}:fit_temperature",
        apply=f"{_ROOM}:apply_temperature",
        reduces_to=Neutral({"lowest": 1.0, "highest": 1.0}, "jax.numpy:asarray"),
        topic="calibration",
        options=("lowest", "highest"),
        example="jaxopt_lab.catalog.examples.predictions:fitted",
        form="oracle",
        monotone="the cross-entropy",
        paper="Guo et al. 2017",
    ),
    Estimator(
        name="vector_scaling",
        summary="a factor and an offset of each class that calibrate a classifier",
        build="jaxopt_lab.metrics.vector_scaling:fit_vector_scaling",
        apply="jaxopt_lab.metrics.vector_scaling:apply_vector_scaling",
        reduces_to=Neutral({"ridge": 1e300}, "jax.numpy:asarray"),
        topic="calibration",
        options=("ridge",),
        example="jaxopt_lab.catalog.examples.predictions:fitted",
        form="oracle",
        monotone="the cross-entropy with its ridge",
        paper="Guo et al. 2017",
        full="dear, a Hessian in a loop; its optimum is plain",
    ),
    Estimator(
        name="h_calibration",
        summary="a monotone map of log-probabilities, small errors in every window",
        build="jaxopt_lab.metrics.h_calibration:fit_h_calibration",
        apply="jaxopt_lab.metrics.h_calibration:apply_h_calibration",
        reduces_to=Neutral({"steps": 0}, "jax.nn:log_softmax"),
        topic="calibration",
        options=(
            "steps",
            "learning_rate",
            "segments",
            "span",
            "reach",
            "clusters",
            "leave_class_out",
        ),
        example="jaxopt_lab.catalog.examples.predictions:mapped",
        form="oracle",
        monotone="the h-calibration loss",
        vectors="hcalibration",
        paper="h-calibration, 2025",
        full="dear, derivatives of a descent; its vectors and its loop are plain",
    ),
    Estimator(
        name="naive_bayes",
        summary="a linear probe in closed form, Gaussian with shared variances",
        build="jaxopt_lab.metrics.naive_bayes:fit_naive_bayes",
        apply="jaxopt_lab.metrics.naive_bayes:apply_naive_bayes",
        reduces_to=Neutral({"eps": 1e300, "uniform": True}, "jax.numpy:zeros_like"),
        topic="probes",
        options=("classes", "eps", "uniform", "scale"),
        example="jaxopt_lab.catalog.examples.predictions:probed",
        form="closed form",
        paper="Zheng et al. 2023",
    ),
    Estimator(
        name="t3",
        summary="parameters between two models, by how far their predictions disagree",
        build="jaxopt_lab.inference:fit_t3",
        apply="jaxopt_lab.inference:apply_t3",
        reduces_to=Neutral(
            {"least": 0.5, "most": 0.5}, "jaxopt_lab.inference:uniform_soup"
        ),
        topic="merging",
        options=("least", "most", "gamma", "center"),
        example="jaxopt_lab.catalog.examples.decoding:two_models",
        form="closed form",
        vectors="t3_merging",
        paper="T3, 2025 (test-time model merging)",
        full="dear; its vectors, ends and limits are plain",
    ),
    Estimator(
        name="datamodel",
        summary="outputs as linear functions of the training examples used",
        build="jaxopt_lab.diagnostics.attribution.datamodel:fit_datamodel",
        apply="jaxopt_lab.diagnostics.attribution.datamodel:datamodel_change",
        reduces_to=Neutral(
            {"ridge": 1e300},
            "jaxopt_lab.diagnostics.attribution.datamodel:no_change",
        ),
        topic="unlearning",
        options=("ridge", "lasso", "sweeps"),
        example="jaxopt_lab.catalog.examples.matrices:models_of_subsets",
        form="closed form",
        paper="Ilyas et al. 2022, arXiv:2202.00622",
    ),
    Estimator(
        name="wiener_denoiser",
        summary="the optimal linear denoiser, whose filter shows the data's locality",
        build="jaxopt_lab.diagnostics.denoising.wiener:fit_wiener",
        apply="jaxopt_lab.diagnostics.denoising.wiener:wiener_denoise",
        reduces_to=Neutral(
            {"ridge": 1e30}, "jaxopt_lab.diagnostics.denoising.wiener:rescaled"
        ),
        topic="generative models",
        options=("ridge",),
        example="jaxopt_lab.catalog.examples.flows:noisy_points",
        form="closed form",
        paper="Locality in diffusion models 2025, arXiv:2509.09672",
        code="ottogin/locality-in-diffusion-models",
        full="dear; its limits, loops and blocks are plain",
    ),
)
