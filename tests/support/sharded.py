"""A link on shards of the batch, as small as it can be."""

import jax
import optax

from jaxopt_lab.core import checks, gradients, trees
from jaxopt_lab.core.perturbation import perturb


def shard_sam(rho, num_shards, mode="unroll"):
    """Sharpness-aware gradient of each shard by itself, averaged."""

    def update(updates, state, params=None, *, grad_fn=None, **extra):
        params, grad_fn = gradients.enter_transform("mine", updates, params, grad_fn)
        mask = trees.resolve_mask(None, params)

        def sharp(grad):
            return grad(perturb(params, grad(params), rho, mask, "all"))

        shards = checks.require_shards("mine", grad_fn).shard(num_shards)
        mean = shards.mean(sharp, mode)
        return jax.tree.map(lambda g, u: g.astype(u.dtype), mean, updates), state

    return optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), update)
