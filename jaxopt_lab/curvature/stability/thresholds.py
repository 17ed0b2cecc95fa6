"""Stability thresholds of linearised SGD: coherence, simple tests, exact."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Params, Scalar
from jaxopt_lab.curvature.stability.gram import ModelFn, OutputLoss, ggn_hessians
from jaxopt_lab.curvature.stability.sample_hessians import (
    HIGHEST,
    SampleHessians,
    compress,
    max_eigenvalues,
)
from jaxopt_lab.curvature.stability.second_moment import (
    Sampling,
    check_batch,
    exact_threshold,
)


class Coherence(NamedTuple):
    r"""Coherence: the alignment of the curvatures of single examples.

    Attributes:
      alignment: :math:`S_{ij} = \|H_i^{1/2} H_j^{1/2}\|_F = \sqrt{\mathrm{tr}\,H_i
        H_j}`, shape ``(m, m)``.
      sigma: :math:`\lambda_1(S) / \max_i \lambda_1(H_i)`; with Hessians of rank 1, 1
        where they are orthogonal and m where they are identical.
      sigma_per_sample: sigma / m, comparable between subsamples of different size.
      max_eigenvalue: :math:`\max_i \lambda_1(H_i)`.
      mean_eigenvalue: :math:`\lambda_1(H)` of the mean Hessian.
    """

    alignment: jax.Array
    sigma: jax.Array
    sigma_per_sample: jax.Array
    max_eigenvalue: jax.Array
    mean_eigenvalue: jax.Array


class SimpleThresholds(NamedTuple):
    """Learning rates from eigenvalues alone, for Bernoulli sampling.

    Attributes:
      gradient_descent: ``2 / lambda_1(H)``; above it the mean diverges.
      coherence: above it, or above ``gradient_descent``, SGD diverges in mean square.
      max_sample: a tighter test of the same kind: likewise, and never above
        ``coherence``.
      converse: the partial converse. NOT a general lower bound: for every sigma there
        is SOME set of Hessians with that sigma that does not diverge below it. Others
        do, with Hessians of rank above 1 down to 5/6 of it in the tests.
    """

    gradient_descent: jax.Array
    coherence: jax.Array
    max_sample: jax.Array
    converse: jax.Array


class StableLearningRate(NamedTuple):
    """Thresholds of a network, from a subsample.

    Attributes:
      exact: exact threshold of the linearised dynamics of the subsample's Hessians.
      relative_residual: of the eigenvalue behind it.
      simple: the simple tests; for Bernoulli sampling whatever the sampling is.
      sigma: coherence of the subsample, which grows with its size.
      sigma_per_sample: sigma / m.
      num_samples: m.
    """

    exact: jax.Array
    relative_residual: jax.Array
    simple: SimpleThresholds
    sigma: jax.Array
    sigma_per_sample: jax.Array
    num_samples: int


def coherence(hessians: SampleHessians) -> Coherence:
    """Alignment matrix and coherence of example Hessians.

    Args:
      hessians: the Hessians.

    Returns:
      The measures. Memory: a matrix of ``(m c, m c)``.

    For Hessians of rank above 1, the diagonal of S holds their Frobenius norms, not
    their largest eigenvalues, so that sigma can exceed m.

    >>> from jaxopt_lab.curvature.stability.sample_hessians import from_hessians
    >>> one = jnp.diag(jnp.array([3.0, 0.0]))
    >>> float(coherence(from_hessians(jnp.stack([one, one]))).sigma)
    2.0

    Reference: Dexter, Ocejo, Keerthi, Gupta, Acharya and Khanna, "A Precise
    Characterization of SGD Stability Using Loss Surface Geometry", arXiv:2401.12332.
    """
    return _coherence(hessians)


@jax.jit
def _coherence(hessians: SampleHessians) -> Coherence:
    m, c, r = hessians.factors.shape
    rows = hessians.factors.reshape(m * c, r)
    gram = jnp.matmul(rows, rows.T, precision=HIGHEST).reshape(m, c, m, c)
    alignment = safe_sqrt(jnp.sum(gram * gram, axis=(1, 3)))
    largest = jnp.max(max_eigenvalues(hessians))
    sigma = safe_divide(jnp.linalg.eigvalsh(alignment)[-1], largest)
    return Coherence(alignment, sigma, sigma / m, largest, hessians.eigenvalues[0])


def simple_thresholds(
    measured: Coherence, batch_size: Scalar, *, population: int | None = None
) -> SimpleThresholds:
    r"""Sufficient conditions for divergence, and the partial converse.

    With N examples, :math:`\lambda = \lambda_1(H)`, :math:`\mu = \max_i
    \lambda_1(H_i)` and Bernoulli sampling of B of them in the mean:

    .. math::
        \text{coherence} &= \frac\sigma\lambda (N/B - 1)^{-1/2}, \qquad
        \text{max\_sample} = \frac N\mu (N/B - 1)^{-1/2}, \\
        \text{converse} &= \frac{2 \sigma}{\lambda (N/B + \sigma - 1)},

    the first two at most :math:`2 / \lambda`. As :math:`N \lambda \le \lambda_1(S)`,
    ``max_sample`` is at most ``coherence``. It follows from one step of the second
    moment along the top eigenvector v of the sharpest example: :math:`v^\top M v`
    grows by more than :math:`\eta^2 (N/B - 1) \mu^2 / N^2`.

    Args:
      measured: the coherence; of a subsample of m, sigma stands for its N / m-fold.
      batch_size: B, 1 to N.
      population: N; default, the number of Hessians.

    Returns:
      The thresholds; infinite where every Hessian is zero.

    Raises:
      InputError: B is not in 1 to N.

    Decisions: the theorems are for Bernoulli sampling; smaller batches without
    replacement are less noisy, and can be stable above ``coherence``.

    >>> from jaxopt_lab.curvature.stability.sample_hessians import from_hessians
    >>> same = coherence(from_hessians(jnp.ones((4, 1, 1))))
    >>> round(float(simple_thresholds(same, 2).converse), 4)  # 8 / 5
    1.6

    Reference: Dexter et al., arXiv:2401.12332; ``max_sample`` is derived here.
    """
    m = measured.alignment.shape[0]
    size = m if population is None else population
    check_batch(batch_size, size, "bernoulli")
    dtype = measured.alignment.dtype
    b = jnp.asarray(batch_size, dtype)
    sigma = measured.sigma * (size / m)
    flat = _over(jnp.asarray(2, dtype), measured.mean_eigenvalue)
    spread = _over(jnp.ones((), dtype), safe_sqrt(jnp.maximum(size / b - 1, 0)))
    per = _over(sigma, measured.mean_eigenvalue)
    return SimpleThresholds(
        gradient_descent=flat,
        coherence=jnp.minimum(flat, per * spread),
        max_sample=jnp.minimum(
            flat, _over(jnp.asarray(size, dtype), measured.max_eigenvalue) * spread
        ),
        converse=_over(2 * sigma, measured.mean_eigenvalue * (size / b + sigma - 1)),
    )


def stable_lr(
    model_fn: ModelFn,
    params: Params,
    inputs: Any,
    targets: Any = None,
    *,
    batch_size: int,
    output_loss: OutputLoss = "softmax_cross_entropy",
    sampling: Sampling = "without_replacement",
    population: int | None = None,
    chunk_size: int = 16,
) -> StableLearningRate:
    r"""The largest learning rate at which SGD does not leave these parameters.

    SGD linearised at a minimum that interpolates the data, with the Gauss-Newton
    matrices of single examples; there they are the Hessians. Elsewhere the gradient
    noise that does not vanish is left out, and so are negative curvatures: the rate
    is then the limit set by the curvature alone.

    Args:
      model_fn: ``model_fn(params, inputs) -> outputs`` of shape ``(m, C)``, see
        ``ggn_factors``.
      params: the parameters.
      inputs: m examples, tree of arrays with a leading axis; m = 64 to 256 of N.
      targets: likewise; only needed where ``output_loss`` is a function.
      batch_size: B of the training.
      output_loss: the loss of one example's outputs; the training loss is the MEAN
        over examples. See ``output_factor``.
      sampling: sampling scheme of batches.
      population: N, number of training examples; default m.
      chunk_size: see ``gram_matrix``.

    Returns:
      The exact threshold and the simple ones. A subsample of m sees at most m C
      directions: repeat with another m before trusting the third digit.

    Raises:
      InputError: B is not in 1 to N, or see ``gram_matrix``.

    Memory and cost: see ``gram_matrix``; then matrices of the size of K.

    >>> model = lambda w, x: x @ w
    >>> found = stable_lr(model, jnp.ones((2, 1)), jnp.eye(2), batch_size=1,
    ...                   output_loss="squared_error")
    >>> round(float(found.exact), 4), int(found.num_samples)
    (2.0, 2)

    Reference: Dexter, Ocejo, Keerthi, Gupta, Acharya and Khanna, "A Precise
    Characterization of SGD Stability Using Loss Surface Geometry", arXiv:2401.12332;
    the exact threshold is derived in ``exact_threshold``.
    """
    samples = jax.tree.leaves(inputs)[0].shape[0]
    check_batch(batch_size, samples if population is None else population, sampling)
    hessians = compress(
        ggn_hessians(
            model_fn,
            params,
            inputs,
            targets,
            output_loss=output_loss,
            chunk_size=chunk_size,
        )
    )
    exact = exact_threshold(
        hessians, batch_size, sampling=sampling, population=population
    )
    measured = coherence(hessians)
    size = samples if population is None else population
    simple = simple_thresholds(measured, min(batch_size, size), population=population)
    return StableLearningRate(
        exact.learning_rate,
        exact.relative_residual,
        simple,
        measured.sigma,
        measured.sigma_per_sample,
        samples,
    )


def _over(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Quotient that is infinite, not undefined, where the denominator is 0."""
    return jnp.where(denominator <= 0, jnp.inf, safe_divide(numerator, denominator))
