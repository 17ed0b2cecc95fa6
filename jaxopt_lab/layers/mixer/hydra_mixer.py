"""Hydra: a layer that mixes a sequence in both directions by one matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, real_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.mixer.matrix_mixers import MIXERS, MixerName, Mixing
from jaxopt_lab.layers.mixer.quasiseparable import Direction
from jaxopt_lab.layers.norm.last_axis import along, normalized

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
      mixer: the kind of M: ``"quasiseparable"``; ``"forward"``, a scan in one direction
        and a number of each head on the diagonal; ``"sum"``, one in each direction, no
        free diagonal; ``"toeplitz"``, a parameter for each head and distance;
        ``"attention"``, softmax of queries and keys of ``d_state`` numbers a head.
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
    Matrix Mixers", 2024 (https://arxiv.org/abs/2407.09941).

    >>> ones = jax.nn.initializers.ones
    >>> layer = hydra_mixer(2, d_state=3, head_dim=2, kernel_init=ones)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> apply = jax.jit(lambda x: layer.apply(*start, x, train=True)[0])
    >>> apply(jnp.ones((1, 3, 2))).shape
    (1, 3, 2)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(hydra_mixer, given)
    inner = expand * features
    if inner % head_dim:
        raise InputError(
            f"head_dim must divide the inner features, {inner}; got head_dim={head_dim}"
        )
    if conv_size % 2 == 0:
        raise InputError(f"conv_size must be odd; got {conv_size}")
    kind, heads = MIXERS[mixer], inner // head_dim
    mixed = inner + kind.rows(heads, d_state)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        draw = lambda i, shape: kernel_init(keys[i], shape, param_dtype)
        params = {
            "inner": draw(0, (features, inner + mixed + kind.steps * heads)),
            "conv": draw(1, (conv_size, 1, mixed)),
            "conv_bias": jnp.zeros(mixed, param_dtype),
            "norm_scale": jnp.ones(inner, param_dtype),
            "outer": draw(3, (inner, features)),
        }
        if kind.steps:
            low, high = math.log(1e-3), math.log(1e-1)
            step = jax.random.uniform(keys[4], (heads,), jnp.float32, low, high)
            step = jnp.exp(step)
            params["a_log"] = jnp.zeros(heads, param_dtype)
            # The inverse of softplus.
            inverse = step + jnp.log(-jnp.expm1(-step))
            params["dt_bias"] = inverse.astype(param_dtype)
        if kind.diagonal != "none":
            params["skip"] = jnp.ones(heads, param_dtype)
        if kind.diagonal == "free":
            params["diagonal"] = draw(2, (inner, heads))
        if kind.taps:
            taps = draw(2, (2 * length - 1, heads)).T
            params["taps"] = taps
        return params, {}

    def apply(
        params: dict[str, jax.Array],
        state: Any,
        x: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        valid = over_features("hydra_mixer", x, features, mask)
        if x.ndim != 3:
            raise InputError(
                f"hydra_mixer takes sequences (B, T, {features}); got {x.shape}"
            )
        sizes = (mixer, heads, d_state)
        v, mixing, z = _parts(params, without_padding(x, valid), valid, sizes)
        y = kind.mix(v, mixing, chunk)
        y = _out(params, y, z, eps).astype(x.dtype)
        return (y if valid is None else jnp.where(valid, y, 0)), state

    return real_layer(init, apply)


def _parts(
    params: dict[str, jax.Array],
    x: jax.Array,
    valid: jax.Array | None,
    sizes: tuple[str, int, int],
) -> tuple[jax.Array, Mixing, jax.Array]:
    """Values, the parameters of their matrices, and the gate."""
    mixer, heads, d_state = sizes
    kind, wide = MIXERS[mixer], accumulation_dtype(x.dtype)
    inner = params["norm_scale"].size
    mixed = params["conv_bias"].size
    h = (x @ params["inner"].astype(x.dtype)).astype(wide)
    z, v, dt = jnp.split(h, [inner, inner + mixed], axis=-1)
    v = jax.lax.conv_general_dilated(
        v,
        params["conv"].astype(wide),
        (1,),
        "SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=mixed,
    )
    v = jax.nn.silu(v + along(params["conv_bias"], v))
    if kind.steps:
        dt = dt.reshape(*dt.shape[:2], kind.steps, heads)
        dt = jax.nn.softplus(dt + along(params["dt_bias"], dt))
    if valid is not None:
        v = without_padding(v, valid)
        dt = jnp.where(valid[..., None], dt, 0) if kind.steps else dt
    v, rows = jnp.split(v, [inner], axis=-1)
    lead = v.shape[:2]
    each = jnp.split(rows, 2 * kind.steps, axis=-1) if kind.steps else []
    ways = tuple(
        Direction(dt[:, :, i], *each[2 * i : 2 * i + 2]) for i in range(kind.steps)
    )
    pair = taps = diagonal = None
    if mixer == "attention":
        both = rows.reshape(*lead, 2, heads, d_state)
        pair = both[:, :, 0], both[:, :, 1]
    if kind.taps:
        taps = params["taps"].astype(wide)
    if kind.diagonal == "free":
        diagonal = v @ params["diagonal"].astype(wide)
        diagonal = diagonal + along(params["skip"], diagonal)
    elif kind.diagonal == "skip":
        skip = params["skip"].astype(wide).reshape(1, 1, heads)
        diagonal = jnp.broadcast_to(skip, (*lead, heads))
    a = jnp.zeros(heads, wide)
    if kind.steps:
        a = -jnp.exp(params["a_log"].astype(wide))
    values = v.reshape(*lead, heads, v.shape[-1] // heads)
    return values, Mixing(ways, pair, taps, diagonal, a, valid), z


def _out(params: dict[str, jax.Array], y: jax.Array, z: jax.Array, eps: float) -> Any:
    y = normalized(y.reshape(z.shape), eps, centred=False)
    y = y * along(params["norm_scale"], y) * jax.nn.silu(z)
    return y @ params["outer"].astype(y.dtype)


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
    v, mixing, z = _parts(params, x, None, (mixer, heads, d_state or 64))
    y = jnp.einsum("bhts,bshp->bthp", kind.matrix(mixing, x.shape[1]), v)
    return _out(params, y, z, 1e-5)
