"""Hydra: a layer that mixes a sequence in both directions by one matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.layers.mixer.matrix_mixers import MIXERS, MixerName
from jaxopt_lab.layers.mixer.mixing_layer import mixed_out, mixing_layer, mixing_parts

LECUN = jax.nn.initializers.lecun_normal()


def hydra_mixer(
    features: Annotated[int, COUNT],
    *,
    d_state: Annotated[int, COUNT] = 64,
    expand: Annotated[int, COUNT] = 2,
    head_dim: Annotated[int, COUNT] = 64,
    conv_size: Annotated[int, COUNT] = 7,
    chunk: Annotated[int, COUNT] = 64,
    mixer: MixerName = "quasiseparable",
    length: Annotated[int, COUNT] = 64,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Mixing by a quasiseparable matrix that is computed from the sequence.

    .. math:: y = \bigl(\text{rms}(M(v)\, v) \odot \text{silu}(z)\bigr) W_o, \qquad
        [z, v', dt] = x W, \quad v = \text{silu}(\text{conv}(v'))

    M has semiseparable parts of rank ``d_state`` strictly below and above a diagonal
    that is free and depends on the token; see ``quasiseparable_mix``. Both directions
    share the decays and the bias of their steps, softplus of dt and bias.

    Args:
      features: size of the last axis.
      d_state: N, the rank.
      expand: inner features over ``features``.
      head_dim: inner features of a head; divides the inner features.
      conv_size: width of the depth-wise convolution, odd.
      chunk: tokens of a chunk of the scan, which changes nothing but the cost.
      mixer: the kind of M: ``"quasiseparable"``; ``"causal"``, without its upper part,
        behind a convolution that looks back alone, as ``causal_mixer``; ``"forward"``,
        a scan in one direction and a number of each head on the diagonal; ``"sum"``,
        one in each direction, no free diagonal; ``"toeplitz"``, a parameter for each
        head and distance; ``"attention"``, softmax of queries and keys of ``d_state``
        numbers a head.
      length: most tokens of a Toeplitz matrix.
      eps: added to the mean square of the norm.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for sequences ``(B, T, features)``.
      ``mask``, ``(B,)`` or ``(B, T)``, is 0 for padding, which neither writes to a
      state nor lets it decay, and gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, ``head_dim`` does not divide, or
        ``conv_size`` is even; at the call, the input does not fit.

    Time and memory are linear in the length (attention: quadratic; Toeplitz: a fast
    Fourier transform). Steps, states and sums are float32 for
    narrower types. Leave ``a_log``, ``dt_bias`` and ``skip`` out of weight decay. Steps
    begin log-uniform in [1e-3, 1e-1].

    Source: Hwang et al., "Hydra: Bidirectional State Space Models Through Generalized
    Matrix Mixers", 2024 (https://arxiv.org/abs/2407.09941). Its free, low-rank,
    Vandermonde and Cauchy matrices are not here.

    >>> ones = jax.nn.initializers.ones
    >>> layer = hydra_mixer(2, d_state=3, head_dim=2, kernel_init=ones)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> apply = jax.jit(lambda x: layer.apply(*start, x, train=True)[0])
    >>> apply(jnp.ones((1, 3, 2))).shape
    (1, 3, 2)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(hydra_mixer, given)
    return mixing_layer(
        "hydra_mixer",
        mixer,
        features,
        d_state=d_state,
        expand=expand,
        head_dim=head_dim,
        conv_size=conv_size,
        chunk=chunk,
        length=length,
        eps=eps,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )


def dense_hydra(
    params: dict[str, jax.Array],
    x: jax.Array,
    *,
    mixer: MixerName = "quasiseparable",
    d_state: Annotated[int | None, COUNT] = None,
) -> jax.Array:
    """The layer by its matrix of tokens by tokens, with the default ``eps``.

    Args:
      params: of ``hydra_mixer``.
      x: ``(B, T, features)``.
      mixer: of ``hydra_mixer``.
      d_state: of ``hydra_mixer``, for attention.

    Returns:
      As ``x``.
    """
    kind = MIXERS[mixer]
    inner, mixed = params["norm_scale"].size, params["conv_bias"].size
    if kind.steps:
        heads = params["a_log"].size
    elif kind.taps:
        heads = params["taps"].shape[0]
    else:
        heads = (mixed - inner) // (2 * (d_state or 64))
    v, mixing, z = mixing_parts(params, x, None, (mixer, heads, d_state or 64))
    y = jnp.einsum("bhts,bshp->bthp", kind.matrix(mixing, x.shape[1]), v)
    return mixed_out(params, y, z, 1e-5)
