"""The rows of diagnostics."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Diagnostic, Neutral

ROWS: tuple[Diagnostic, ...] = (
    Diagnostic(
        name="hutchinson_trace",
        summary="trace of an operator from random probes",
        build="jaxopt_lab.curvature:hutchinson_trace",
        reduces_to=Neutral({}, "jax.numpy:trace", note="of a diagonal matrix"),
        topic="curvature",
        options=("num_probes",),
        cost="num_probes products",
        error="standard error, from the spread of the probes",
        paper="Hutchinson 1990",
    ),
    Diagnostic(
        name="top_eigenvalues",
        summary="extreme eigenvalues by Lanczos",
        build="jaxopt_lab.curvature:top_eigenvalues",
        reduces_to=Neutral(
            {}, "jax.numpy:max", note="of the entries of a diagonal matrix"
        ),
        topic="curvature",
        options=("num_steps",),
        cost="num_steps products at most",
        error="residual: an eigenvalue lies within it of the value",
        paper="Lanczos 1950",
    ),
    Diagnostic(
        name="residual_expansion",
        summary="a residual network as a series in the scale of its modules",
        build="jaxopt_lab.diagnostics:residual_expansion",
        reduces_to=Neutral(
            {"scale": 0.0}, "jax.numpy:abs", note="of an input of one number"
        ),
        topic="depth",
        options=("scale", "order"),
        cost="order squared passes",
        error="root mean square of what the truncated sum lacks, a bound",
        paper="On residual network depth, 2025, from the abstract",
    ),
    Diagnostic(
        name="example_noise_scale",
        summary="gradient noise scale from the gradients of single examples",
        build="jaxopt_lab.curvature:example_noise_scale",
        reduces_to=Neutral(
            {}, "jax.numpy:zeros_like", note="of examples that are all the same"
        ),
        topic="batch size",
        cost="two gradients of the data set",
        error="standard error, by the jackknife",
        paper="McCandlish et al. 2018, arXiv:1812.06162",
    ),
    # Infinitely wide and deep networks.
    Diagnostic(
        name="depth_limit",
        summary="tangent kernel of a wide and deep network, and its singular limit",
        build="jaxopt_lab.diagnostics:depth_limit",
        reduces_to=Neutral(
            {}, "jax.numpy:mean", note="of the inner products, where all is linear"
        ),
        topic="depth",
        options=("depth",),
        cost="depth operations a pair",
        error="distance from half the depth, about that to the limit",
        paper="Radhakrishnan, Belkin and Uhler 2022, arXiv:2204.14126",
    ),
    Diagnostic(
        name="interaction_basis",
        summary="coordinates of layers in which few of them interact",
        build="jaxopt_lab.diagnostics:interaction_basis",
        reduces_to=Neutral(
            {"output": "identity"}, "jax.numpy:square", note="of an input along one row"
        ),
        topic="interpretability",
        options=("threshold", "relative", "smallest", "points", "output"),
        cost="a Jacobian an example, an eigendecomposition a layer",
        error="standard error over the examples, with the later bases as they are",
        paper="Bushnaq et al. 2024, arXiv:2405.10928",
        code="ApolloResearch/rib",
    ),
    Diagnostic(
        name="kernel_calibration_error",
        summary="squared kernel calibration error of all probabilities, unbiased",
        build="jaxopt_lab.metrics.kernel_calibration_error:kernel_calibration_error",
        reduces_to=Neutral(
            {"bandwidth": float("inf")},
            "jaxopt_lab.metrics.kernel_calibration_error:mean_residual_products",
            note="at infinite bandwidth",
        ),
        topic="calibration",
        options=("bandwidth",),
        cost="a product of examples by examples",
        error="standard error of a U-statistic",
        paper="Widmann et al. 2019, arXiv:1910.11385",
    ),
    # Networks on noisy hardware.
    Diagnostic(
        name="weight_noise",
        summary="score of a network over draws of noisy weights",
        build="jaxopt_lab.diagnostics.hardware:evaluate_under_weight_noise",
        reduces_to=Neutral(
            {"sigma": 0.0}, "jax.numpy:square", note="of a network of one weight"
        ),
        topic="hardware",
        options=("draws", "model"),
        cost="draws passes a sigma",
        error="standard error over the draws",
        vectors="weight_noise",
        paper="Mordido et al. 2022, arXiv:2211.11561",
    ),
)
