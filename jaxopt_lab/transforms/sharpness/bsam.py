"""Bayesian sharpness-aware minimization (bSAM)."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import checks, gradients, placement, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, UNIT, check_arguments
from jaxopt_lab.core.typing import GradFn, Params, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import averaged

_GIVEN = "the direction of the ascent and the precision"
_BEHIND = "bsam has the step size and the decay as arguments of its own"


class BsamState(NamedTuple):
    """State of ``bsam``: 12 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      key: typed key from which every step draws.
      noise: like the parameters, their current offset from the mean.
      momentum: like the parameters, running average of the gradients.
      precision: like the parameters, s; the variance of one is ``1 / (N s)``.
    """

    count: jax.Array
    key: jax.Array
    noise: Updates
    momentum: Updates
    precision: Updates

    def eval_params(self, params: Params) -> Params:
        """The mean of the parameters; see ``eval_params``."""
        return jax.tree.map(jnp.subtract, params, self.noise)


def bsam(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    *,
    num_data: Annotated[Scalar, POSITIVE],
    b1: Annotated[ScalarOrSchedule, UNIT] = 0.9,
    b2: Annotated[ScalarOrSchedule, UNIT] = 0.999,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    damping: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.1,
    initial_precision: Annotated[Scalar, POSITIVE] = 10.0,
    axis_name: str | None = None,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adapt a variance for every parameter, and the ascent to the variances.

    A whole optimizer. It learns a Gaussian over the parameters with mean w and
    variance ``1 / (N s)``; with N the size of the data set, z standard normal noise,
    :math:`\delta` the decay and :math:`\gamma` the damping, each step is

    .. math::
        g = \nabla L\Big(w + \frac{z}{\sqrt{N s}}\Big), \quad
        g' = \nabla L\Big(w + \rho \frac{g}{s}\Big), \\
        m \leftarrow \beta_1 m + (1 - \beta_1) (g' + \delta w), \quad
        w \leftarrow w - \eta \frac{m}{s}, \\
        s \leftarrow \beta_2 s + (1 - \beta_2) (\sqrt{s} |g| + \gamma + \delta),

    with the old s in the step of w. The PARAMETERS of the training are the noisy ones,
    so that the gradient of a plain step is the g above. Evaluate at
    ``eval_params(params, state)``, which is w. The updates contain the new noise, so
    nothing may stand behind it in a chain; ``optax.MultiSteps`` around it is refused.

    Args:
      learning_rate: step size; number, traced scalar or schedule. It is divided by s,
        which ends near the damping where gradients are small.
      rho: strength of the ascent, which is not normalised: its length is that of
        ``rho * g / s``. Number, traced scalar or schedule; 0 makes it a variational
        optimizer without ascent.
      num_data: N, number of examples in the data set (more with augmentation), not in
        the batch. A number or a traced scalar.
      b1: decay of the average of the gradients, in [0, 1].
      b2: decay of the precision, in [0, 1].
      weight_decay: :math:`\delta`, the precision of the prior divided by N.
      damping: :math:`\gamma`, in the units of s; keeps s away from 0.
      initial_precision: s at the start, above 0. With large gradients at the start the
        ascent is that much shorter.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      seed: of the noise, which depends on it and on the number of updates alone, so
        devices and a resumed run draw the same.

    Returns:
      An optimizer. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, a number is out of range, a
        parameter is complex, integer or narrower than float32, or a transform stands
        behind it.

    Gradient evaluations: 2 a step. Memory: 12 bytes per float32 parameter, m, s and the
    noise, which is kept rather than drawn a second time. Differentiable in all numbers
    and in the parameters, the draws being constants.

    Decisions: we follow the authors' code. Its shards of a batch each have noise of
    their own; here all examples of a step share one draw. The first step has no noise,
    since the parameters are given before there is a state. Noise is drawn in float32
    whatever the type of the parameters, so that types compare. Their script has
    ``rho=0.1`` and starts from ``s = 1``, an ascent a hundred times longer at the
    start; the defaults here are shorter because that diverges where gradients are
    large (Rosenbrock's valley). A much used port takes ``1 / (N s)`` for the standard
    deviation and ascends from the noisy point.

    >>> import jaxopt_lab
    >>> loss = lambda w, x: jnp.mean(x) * w**2 / 2
    >>> grad_fn = jaxopt_lab.batch_grad(loss, jnp.ones(2))
    >>> tx = jaxopt_lab.bsam(1.0, rho=5.0, num_data=100, b1=0.0)
    >>> w, state = jnp.array(2.0), tx.init(jnp.array(2.0))
    >>> updates, state = tx.update(grad_fn(w), state, w, grad_fn=grad_fn)
    >>> mean = jaxopt_lab.eval_params(w + updates, state)
    >>> round(float(mean), 5)  # 2 - (2 + 0.5 * 2) / 10
    1.7

    Reference: Moellenhoff and Khan, "SAM as an Optimal Relaxation of Bayes", ICLR
    2023, arXiv:2210.01620. Code followed: team-approx-bayes/bayesian-sam.
    """
    check_arguments(bsam, locals())

    def init_fn(params: Params) -> BsamState:
        params = trees.arrays(params)
        checks.require_float32("bsam", params, trees.resolve_mask(None, params))
        checks.require_real("bsam", params)
        _refuse_integers(params)
        start = lambda p: jnp.full_like(p, jnp.asarray(initial_precision, p.dtype))
        return BsamState(
            count=jnp.zeros((), jnp.int32),
            key=jax.random.key(seed),
            noise=jax.tree.map(jnp.zeros_like, params),
            momentum=jax.tree.map(jnp.zeros_like, params),
            precision=jax.tree.map(start, params),
        )

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, BsamState]:
        del extra
        updates, params = trees.arrays((updates, params))
        noisy, grad_fn = gradients.enter_transform(
            "bsam",
            updates,
            params,
            grad_fn,
            _GIVEN,
            axis_name,
            gives_gradient=False,
        )
        placement.refuse_behind("bsam", "the noise of the parameters", _BEHIND)
        at = lambda value: value_at(value, state.count)
        rate, radius, decay, floor = map(
            at, (learning_rate, rho, weight_decay, damping)
        )
        keep, keep_s = at(b1), at(b2)
        mean = state.eval_params(noisy)

        def perturb(w: jax.Array, g: jax.Array, s: jax.Array) -> jax.Array:
            return w + jnp.asarray(radius, s.dtype) * g.astype(s.dtype) / s

        perturbed = jax.tree.map(perturb, mean, updates, state.precision)
        sharp = averaged(grad_fn, axis_name)(perturbed, 0)

        def average(m: jax.Array, g: jax.Array, w: jax.Array) -> jax.Array:
            part, prior = jnp.asarray(keep, m.dtype), jnp.asarray(decay, m.dtype)
            return part * m + (1 - part) * (g.astype(m.dtype) + prior * w)

        momentum = jax.tree.map(average, state.momentum, sharp, mean)

        def sharpen(s: jax.Array, g: jax.Array) -> jax.Array:
            part, least = jnp.asarray(keep_s, s.dtype), jnp.asarray(floor, s.dtype)
            new = trees.safe_sqrt(s) * jnp.abs(g.astype(s.dtype))
            return part * s + (1 - part) * (new + least + jnp.asarray(decay, s.dtype))

        count = increment(state.count)
        precision = jax.tree.map(sharpen, state.precision, updates)
        key = jax.random.fold_in(state.key, count)
        noise = _noise(key, num_data, precision)

        def move(
            u: jax.Array, m: jax.Array, s: jax.Array, new: jax.Array, old: jax.Array
        ) -> jax.Array:
            # Subtract the noises first: adding the step to their sum would round it
            # off.
            return ((new - old) - jnp.asarray(rate, m.dtype) * m / s).astype(u.dtype)

        moves = jax.tree.map(
            move, updates, momentum, state.precision, noise, state.noise
        )
        return moves, BsamState(count, state.key, noise, momentum, precision)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _refuse_integers(params: Params) -> None:
    for path, p in trees.leaves_with_path(params):
        if not trees.is_floating(p):
            raise InputError(
                f"bsam takes floating parameters; got {p.dtype} for "
                f"{trees.path_name(path)!r}: leave it out with jaxopt_lab.masked"
            )


def _noise(key: jax.Array, num_data: Scalar, precision: Updates) -> Updates:
    """Normal noise of variance ``1 / (num_data * precision)``."""
    leaves, structure = jax.tree.flatten(precision)

    def draw(i: int, s: jax.Array) -> jax.Array:
        z = jax.random.normal(jax.random.fold_in(key, i), s.shape, jnp.float32)
        return z.astype(s.dtype) / trees.safe_sqrt(jnp.asarray(num_data, s.dtype) * s)

    return jax.tree.unflatten(structure, [draw(i, s) for i, s in enumerate(leaves)])
