"""Ghost Model: room for the classes to come, on top of PODNet."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Metrics, ModelState, Params, Scalar
from jaxopt_lab.layers.classifier.local_similarity import Similarity, local_similarity
from jaxopt_lab.recipes.ghosts import Ghosts, latent_margin
from jaxopt_lab.recipes.podnet import (
    OLD,
    Extra,
    PodOutputs,
    incremental_step,
    init_podnet,
    with_defaults,
)
from jaxopt_lab.recipes.replay import MODEL
from jaxopt_lab.recipes.replay_memory import Memory, weighted_mean
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

GHOSTS = "ghosts"


def init_ghost(
    tx: optax.GradientTransformation,
    params: Params,
    old: Params,
    ghosts: Ghosts,
    key: jax.Array,
    memory: Memory,
    *,
    model_state: ModelState | None = None,
    old_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_ghost_step``: that of ``init_podnet``, and the ghosts.

    Args:
      tx: as of ``init_podnet``.
      params: likewise.
      old: likewise.
      ghosts: proxies and hyperplanes of the classes to come, frozen.
      key: as of ``init_podnet``.
      memory: likewise.
      model_state: likewise.
      old_state: likewise.

    Returns:
      A ``TrainState`` of the roles ``"model"``, ``"old"`` and ``"ghosts"``.

    >>> from jaxopt_lab.recipes import empty_memory
    >>> memory = empty_memory({"image": jnp.ones((1, 2)), "label": jnp.zeros(1)}, 4)
    >>> none = Ghosts(jnp.zeros((0, 1, 2)), jnp.zeros((0, 2)), jnp.zeros(0))
    >>> state = init_ghost(optax.sgd(0.1), {}, {}, none, jax.random.key(0), memory)
    >>> sorted(state.params)
    ['ghosts', 'model', 'old']
    """
    state = init_podnet(
        tx, params, old, key, memory, model_state=model_state, old_state=old_state
    )
    by_role: Any = state.params
    opt_state: Any = state.opt_state
    return state._replace(
        params={**by_role, GHOSTS: ghosts}, opt_state={**opt_state, GHOSTS: ()}
    )


def make_ghost_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    negatives: bool = True,
    latent: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    similarity: Similarity = "euclidean",
    gamma: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` that leaves room for classes.

    The step of ``make_podnet_step`` with, of the classes to come, proxies as further
    negatives in the loss of the classifier, and

    .. math:: \lambda \sqrt{G} \operatorname{mean}_i \operatorname{mean}_s
        [w_s \cdot \bar h_i + b_s]_+,

    which keeps real features on their side of hyperplanes between them and the ghosts.
    Both come from a generator that is trained by ``ghost_generator_loss`` on seen
    classes and ``draw_ghosts`` of the attributes of the others; ``fit_separator`` gives
    a hyperplane. The proxies of a new task start from its ghosts' means.

    Args:
      network: as of ``make_podnet_step``.
      tx: likewise.
      negatives: whether the ghosts' proxies are in the loss.
      latent: :math:`\lambda`.
      similarity: of the network's classifier, as of ``layers.local_similarity``.
      gamma: likewise.
      **options: those of ``make_podnet_step``, with its defaults.

    Returns:
      The step, for states of ``init_ghost``. Metrics: those of ``make_podnet_step`` and
      ``latent``, without its weight.

    Raises:
      InputError: as of ``make_podnet_step``.

    Without ghosts it is the step of ``make_podnet_step``. Cost: as there.

    Source: Douillard et al., "Insights from the Future for Continual Learning", 2020;
    one of the many configurations of its code.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return PodOutputs(x @ params, x @ params), state
    >>> network = Functional(lambda key: (jnp.eye(2), {}), apply)
    >>> from jaxopt_lab.recipes import empty_memory
    >>> tx, batch = optax.sgd(0.1), {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> ghosts = Ghosts(-jnp.ones((1, 1, 2)), jnp.ones((1, 2)), jnp.zeros(1))
    >>> memory, key = empty_memory(batch, 3), jax.random.key(0)
    >>> state = init_ghost(tx, jnp.eye(2), jnp.eye(2), ghosts, key, memory)
    >>> step = jax.jit(make_ghost_step(network, tx, spatial=0.0))
    >>> float(step(state, batch)[1]["latent"])  # both features are on their side
    1.0
    """
    given = {"negatives": negatives, "latent": latent, "gamma": gamma}
    check_arguments(make_ghost_step, {**given, "similarity": similarity})
    settings = with_defaults(options)

    def extra(by_role: Params) -> Extra:
        ghosts: Ghosts = by_role[GHOSTS]  # type: ignore[index]

        def added(
            out: PodOutputs, weights: jax.Array | None
        ) -> tuple[jax.Array, Metrics]:
            further = local_similarity(
                out.features, ghosts.proxies, similarity=similarity, gamma=gamma
            )
            if not negatives:
                further = further[:, :0]
            apart = weighted_mean(latent_margin(out.features, ghosts), weights)
            root = len(ghosts.proxies) ** 0.5
            penalty = jnp.asarray(latent, apart.dtype) * root * apart
            return further, {"latent": apart, "penalty": penalty}

        return added

    return incremental_step(network, tx, extra, (MODEL, OLD, GHOSTS), **settings)
