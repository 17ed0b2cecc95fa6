"""Sparse mixture of experts: each position passes through a few of many networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding

KernelInit = Callable[..., jax.Array]


def mixture_of_experts(
    features: Annotated[int, COUNT],
    *,
    experts: Annotated[int, COUNT] = 4,
    hidden: Annotated[int | None, COUNT] = None,
    top: Annotated[int, COUNT] = 1,
    labels: tuple[int, ...] | None = None,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Sum of the outputs of the most probable experts, weighted by the router.

    .. math:: y = \sum_{e \in \mathrm{top}_k p} p_e \,
        \mathrm{relu}(x W^{in}_{\ell(e)}) W^{out}_{\ell(e)}, \qquad
        p = \mathrm{softmax}(x R).

    Args:
      features: size of the last axis of the input and the output.
      experts: outputs of the router.
      hidden: units of an expert; ``None``: four times the features.
      top: experts of a position, k, at most ``experts``.
      labels: :math:`\ell`, the network of each output of the router, as
        ``quantize.group_experts`` finds it: merged experts are one network, and the
        router stays. ``None``: a network each.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"router", "wi", "wo"}, {})``, ``(features, experts)``,
      ``(networks, features, hidden)`` and ``(networks, hidden, features)``; and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``. ``mask``, of the leading axes of ``x``, is 0 for padding, which gives 0.
      Training and evaluation are the same. ``router_logits`` has the logits, from
      which ``quantize.router_statistics`` counts. The probabilities are not divided by
      their sum over the k, as in Switch transformers; no capacity, no noise, and no
      loss that balances.

    Raises:
      InputError: an argument is out of range, or ``labels`` do not number networks.

    Every network runs on every position, and the others get weight 0: for mixtures of
    few small networks on few devices. Kept for the gradient: the
    input, and three numbers for each hidden unit of every network.

    Source: Fedus et al., "Switch Transformers", 2021
    (https://arxiv.org/abs/2101.03961); Li et al., "Merge, Then Compress", 2023
    (https://arxiv.org/abs/2310.01334), for ``labels``.

    >>> layer = mixture_of_experts(3, experts=4, hidden=2, labels=(0, 1, 0, 1))
    >>> params, state = jax.eval_shape(layer.init, jax.random.key(0))
    >>> {name: w.shape for name, w in params.items()}
    {'router': (3, 4), 'wi': (2, 3, 2), 'wo': (2, 2, 3)}
    """
    check_arguments(mixture_of_experts, locals())
    if top > experts:
        raise InputError(f"top={top} of experts={experts}; at most {experts}")
    owners = tuple(range(experts)) if labels is None else tuple(map(int, labels))
    networks = max(owners, default=-1) + 1
    if len(owners) != experts or set(owners) != set(range(networks)):
        raise InputError(
            f"labels must give each of the {experts} experts one of the networks 0, 1, "
            f"... without a gap; got {labels}"
        )
    units = 4 * features if hidden is None else hidden

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("mixture_of_experts: init draws kernels; pass it a key")
        lecun = jax.nn.initializers.lecun_normal
        draw = lecun() if kernel_init is None else kernel_init
        each = lecun(batch_axis=(0,)) if kernel_init is None else kernel_init
        keys = jax.random.split(key, 3)
        return {
            "router": draw(keys[0], (features, experts), param_dtype),
            "wi": each(keys[1], (networks, features, units), param_dtype),
            "wo": each(keys[2], (networks, units, features), param_dtype),
        }, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("mixture_of_experts", x, features, mask)
        x = without_padding(x, valid)
        p = jax.nn.softmax(router_logits(params, x), axis=-1)
        best, chosen = jax.lax.top_k(p, top)
        at = jnp.asarray(np.eye(networks, dtype=p.dtype)[list(owners)])[chosen]
        weight = jnp.einsum("...k,...kn->...n", best, at).astype(x.dtype)
        wi, wo = params["wi"].astype(x.dtype), params["wo"].astype(x.dtype)
        inner = jnp.einsum("...d,ndh->...nh", x, wi)
        inner = jnp.where(inner > 0, inner, 0)
        y = jnp.einsum("...nh,nhd->...d", inner * weight[..., None], wo)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def router_logits(params: Any, x: jax.Array) -> jax.Array:
    """The logits of the router of a mixture.

    Args:
      params: of ``mixture_of_experts``.
      x: ``(..., features)``, its input.

    Returns:
      ``(..., experts)``, float32 (float64 for float64).

    >>> router_logits({"router": jnp.eye(2)}, jnp.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    wide = accumulation_dtype(x.dtype)
    return x.astype(wide) @ params["router"].astype(wide)


def one_expert(params: Any, x: jax.Array) -> jax.Array:
    """The one network, what is left of a mixture with ``experts=1``.

    Args:
      params: those of the mixture.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    wi, wo = (params[name][0].astype(x.dtype) for name in ("wi", "wo"))
    return jax.nn.relu(x @ wi) @ wo
