"""Bayesian consensus of classifiers and clusterings, over sites that keep rows."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments


class BC3EState(NamedTuple):
    """Result of ``fit_bc3e``.

    Attributes:
      gamma: ``(n, K)``, parameters of the Dirichlet distribution of each item's class
        probabilities; the consensus of an item is the class of the largest.
      phi: ``(n, M, K)``, probabilities of the class behind each cluster label.
      beta: ``(M, K, V)``, probabilities of the cluster labels of each class.
      bound: ``(iterations,)``, the bound that each sweep reaches with its own
        ``beta``; never falls.
    """

    gamma: jax.Array
    phi: jax.Array
    beta: jax.Array
    bound: jax.Array


class LocalStep(NamedTuple):
    """Result of ``local_step``, from the rows of a site.

    Attributes:
      gamma: see ``BC3EState``.
      phi: likewise.
      statistics: ``(M, K, V)``, expected counts, all that leaves the site.
      bound: of the site's rows, a scalar.
    """

    gamma: jax.Array
    phi: jax.Array
    statistics: jax.Array
    bound: jax.Array


def local_step(
    votes: jax.Array, clusters: jax.Array, gamma: jax.Array, beta: jax.Array, prior: Any
) -> LocalStep:
    """One sweep over the rows of a site, at given tables of cluster labels.

    Args:
      votes: ``(n, K)``, number of classifiers that gave each class.
      clusters: ``(n, M)`` integers, cluster labels.
      gamma: ``(n, K)``, from the sweep before.
      beta: ``(M, K, V)``.
      prior: parameter of the symmetric Dirichlet prior.

    Returns:
      The new parameters, the counts for ``global_step`` and the bound without the
      prior of ``beta``.

    >>> votes, clusters = jnp.array([[1.0, 0.0]]), jnp.zeros((1, 1), jnp.int32)
    >>> beta = jnp.ones((1, 2, 1))
    >>> step = local_step(votes, clusters, votes + 1, beta, 1.0)
    >>> step.statistics.shape, float(step.statistics.sum())
    ((1, 2, 1), 1.0)
    """
    one_hot = is_class(clusters, beta.shape[2]).astype(beta.dtype)
    logs = jnp.log(jnp.maximum(beta, jnp.finfo(beta.dtype).tiny))
    likelihood = jnp.einsum("nmv,mkv->nmk", one_hot, logs)
    phi = jax.nn.softmax(likelihood + digamma(gamma)[:, None], axis=-1)
    gamma = prior + votes + jnp.sum(phi, axis=1)
    total = jnp.sum(gamma, axis=1, keepdims=True)
    log_theta = digamma(gamma) - digamma(total)
    classes = votes.shape[1]
    prior = jnp.asarray(prior, beta.dtype)
    of_prior = gammaln(classes * prior) - classes * gammaln(prior)
    entropy_theta = jnp.sum(gammaln(gamma), axis=1) - gammaln(total[:, 0])
    entropy_theta = entropy_theta - jnp.sum((gamma - 1) * log_theta, axis=1)
    log_phi = jnp.log(jnp.maximum(phi, jnp.finfo(phi.dtype).tiny))
    inner = jnp.sum(phi * (log_theta[:, None] + likelihood - log_phi), axis=(1, 2))
    of_theta = jnp.sum((prior - 1 + votes) * log_theta, axis=1)
    bound = jnp.sum(of_prior + of_theta + inner + entropy_theta)
    return LocalStep(gamma, phi, jnp.einsum("nmk,nmv->mkv", phi, one_hot), bound)


def global_step(statistics: jax.Array, *, smoothing: Any = 0.1) -> jax.Array:
    """The tables of cluster labels from the counts of all sites.

    Args:
      statistics: ``(M, K, V)``, the sum over the sites.
      smoothing: added to each count: a Dirichlet prior of parameter 1 + ``smoothing``.

    Returns:
      ``(M, K, V)``, sums to 1 over V.

    >>> global_step(jnp.array([[[1.0, 0.0]]]), smoothing=1.0)[0, 0].tolist()
    [0.6666666865348816, 0.3333333432674408]
    """
    counts = statistics + smoothing
    total = jnp.sum(counts, axis=-1, keepdims=True)
    return counts / jnp.where(total > 0, total, 1)


def fit_bc3e(
    labels: jax.Array,
    clusters: jax.Array,
    *,
    classes: Annotated[int, COUNT],
    cluster_count: Annotated[int, COUNT],
    prior: Annotated[float, POSITIVE] = 1.0,
    smoothing: Annotated[float, NON_NEGATIVE] = 0.1,
    iterations: Annotated[int, COUNT] = 50,
    axis_name: str | None = None,
) -> BC3EState:
    r"""Consensus of classifiers and clusterings by variational Bayes (BC3E).

    Each item has class probabilities :math:`\theta_n \sim \mathrm{Dir}(a)`; a
    classifier gives a label from them; behind the label :math:`c_{nm}` of clustering m
    stands a class :math:`z_{nm} \sim \theta_n`, with :math:`c_{nm} \sim \beta_{m,
    z_{nm}}`. One sweep is

    .. math:: \phi_{nmk} \propto \beta_{m,k,c_{nm}} e^{\psi(\gamma_{nk})}, \quad
        \gamma_n = a + \sum_l \mathbf 1_{w_{nl}} + \sum_m \phi_{nm}, \quad
        \beta_{mkv} \propto s + \sum_n \phi_{nmk} [c_{nm} = v] .

    Args:
      labels: ``(n, L)`` integers below ``classes``, of L classifiers; -1 where a
        classifier says nothing. L may be 0.
      clusters: ``(n, M)`` integers below ``cluster_count``; M may be 0.
      classes: K.
      cluster_count: V, of every clustering.
      prior: :math:`a`.
      smoothing: :math:`s`.
      iterations: sweeps.
      axis_name: axis of ``shard_map`` or ``pmap`` over which rows are spread: each
        device keeps its rows, and only ``(M, K, V)`` counts and a scalar are summed.

    Returns:
      The state. It begins with the counts of cluster labels among the votes, which
      tells the classes apart. Without clusterings ``gamma`` is prior plus votes.
      Time: ``n M K V`` a sweep.

    Raises:
      InputError: shapes do not fit, or a label is out of range where it is known.

    Deviations: from the abstract; the conjugate model, its smoothing and its start are
    ours.

    Source: Acharya, Hruschka, Ghosh et al., "A Privacy-Aware Bayesian Approach for
    Combining Classifier and Cluster Ensembles", 2012
    (https://arxiv.org/abs/1204.4521).

    >>> labels = jnp.array([[0], [-1], [1], [-1]])
    >>> clusters = jnp.array([[0], [0], [1], [1]])
    >>> found = fit_bc3e(labels, clusters, classes=2, cluster_count=2)
    >>> found.gamma.argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    check_arguments(fit_bc3e, locals())
    labels, clusters = jnp.asarray(labels), jnp.asarray(clusters)
    if labels.ndim != 2 or clusters.ndim != 2 or len(labels) != len(clusters):
        raise InputError(
            "labels and clusters must have shapes (n, L) and (n, M); got "
            f"{labels.shape} and {clusters.shape}"
        )
    for name, x, count, least in (
        ("labels", labels, classes, -1),
        ("clusters", clusters, cluster_count, 0),
    ):
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise InputError(f"{name} must be integers; got {x.dtype}")
        known = known_values(x)
        if known is not None and known.size:
            wrong = known[(known < least) | (known >= count)]
            if wrong.size:
                raise InputError(
                    f"{name} must be from {least} to {count - 1}; got {wrong.flat[0]}"
                )
    dtype = jnp.zeros(()).dtype
    votes = jnp.sum(is_class(labels, classes).astype(dtype), axis=1)
    together = (
        (lambda x: x) if axis_name is None else (lambda x: jax.lax.psum(x, axis_name))
    )
    one_hot = is_class(clusters, cluster_count).astype(dtype)
    beta = global_step(
        together(jnp.einsum("nk,nmv->mkv", votes, one_hot)), smoothing=smoothing + 1.0
    )
    prior_, eased = jnp.asarray(prior, dtype), jnp.asarray(smoothing, dtype)

    def sweep(carry: Any, _: None) -> tuple[Any, jax.Array]:
        gamma, _, beta = carry
        found = local_step(votes, clusters, gamma, beta, prior_)
        logs = jnp.log(jnp.maximum(beta, jnp.finfo(dtype).tiny))
        bound = together(found.bound) + eased * jnp.sum(logs)
        beta = global_step(together(found.statistics), smoothing=eased)
        return (found.gamma, found.phi, beta), bound

    start = votes + prior_
    phi = jnp.zeros((*clusters.shape, classes), dtype) + 0 * start[:, None]
    (gamma, phi, beta), bound = jax.lax.scan(
        sweep, (start, phi, beta), length=iterations
    )
    return BC3EState(gamma, phi, beta, bound)
