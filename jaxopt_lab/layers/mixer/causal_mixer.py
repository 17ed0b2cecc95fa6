"""Mixing of a sequence in one direction by a quasiseparable matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.layers.mixer.hydra_mixer import LECUN, dense_hydra
from jaxopt_lab.layers.mixer.mixing_layer import mixing_layer


def causal_mixer(
    features: Annotated[int, COUNT],
    *,
    d_state: Annotated[int, COUNT] = 64,
    expand: Annotated[int, COUNT] = 2,
    head_dim: Annotated[int, COUNT] = 64,
    conv_size: Annotated[int, COUNT] = 4,
    chunk: Annotated[int, COUNT] = 64,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Hydra's layer without its upper part, so that no token sees a later one.

    .. math:: y = \bigl(\text{rms}(M(v)\, v) \odot \text{silu}(z)\bigr) W_o, \qquad
        [z, v', dt] = x W, \quad v = \text{silu}(\text{conv}(v'))

    M is lower triangular: semiseparable of rank ``d_state`` below a diagonal that is
    free and depends on the token. The convolution reaches back ``conv_size - 1``
    tokens. Changes of later tokens, if they are finite, change no digit of earlier
    results.

    Args:
      features: size of the last axis.
      d_state: N, the rank.
      expand: inner features over ``features``.
      head_dim: inner features of a head; divides the inner features.
      conv_size: width of the depth-wise convolution.
      chunk: tokens of a chunk of the scan, which changes nothing but the cost.
      eps: added to the mean square of the norm.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for sequences ``(B, T, features)``.
      ``mask``, ``(B,)`` or ``(B, T)``, is 0 for padding, which neither writes to the
      state nor lets it decay, and gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or ``head_dim`` does not divide; at the
        call, the input does not fit.

    Time and memory are linear in the length. Steps, states and sums are float32 for
    narrower types. Leave ``a_log``, ``dt_bias`` and ``skip`` out of weight decay.

    Source: Hwang et al., "Hydra: Bidirectional State Space Models Through Generalized
    Matrix Mixers", 2024 (https://arxiv.org/abs/2407.09941), of whose matrix this is the
    lower part; the width of the convolution is that of Mamba.

    >>> ones = jax.nn.initializers.ones
    >>> layer = causal_mixer(2, d_state=3, head_dim=2, kernel_init=ones)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> apply = jax.jit(lambda x: layer.apply(*start, x, train=True)[0])
    >>> x = jnp.ones((1, 3, 2))
    >>> jnp.array_equal(apply(x)[:, :2], apply(x.at[:, 2].set(9.0))[:, :2]).item()
    True
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(causal_mixer, given)
    return mixing_layer(
        "causal_mixer",
        "causal",
        features,
        d_state=d_state,
        expand=expand,
        head_dim=head_dim,
        conv_size=conv_size,
        chunk=chunk,
        length=1,
        eps=eps,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )


def dense_causal(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The layer by its matrix of tokens by tokens, with the default ``eps``.

    Args:
      params: of ``causal_mixer``.
      x: ``(B, T, features)``.

    Returns:
      As ``x``.
    """
    return dense_hydra(params, x, mixer="causal")
