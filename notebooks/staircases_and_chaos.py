# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Staircases and chaos: where the exact slope is of no use
#
# `what_is_differentiable` shows where the slope that JAX gives of a training run is
# right, and where it is of use. Two cases are left: numbers that act through signs, a
# staircase with the slope zero on every stair, and runs that are chaotic, whose slopes
# are exact and grow beyond all bounds.
#
# 1. On a staircase: the slope of a mean over a cloud. 2. Chaos: how far a hypergradient
#    reaches.
#
# Run it with `SMALL=1` in the environment for a quick look with coarse curves.

# %%
import functools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from jaxopt_lab import InnerProblem, hypergrad

jax.config.update("jax_enable_x64", True)

SMALL = os.environ.get("SMALL", "") not in ("", "0")
POINTS = 41 if SMALL else 801  # of the curve

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": 80,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
    }
)
BLUE, GREEN, RED, VIOLET = "#1f5fa8", "#2a9d6f", "#d1495b", "#7b5ea7"

# %% [markdown]
# ## 1. On a staircase
#
# Lion steps by the sign of an average, so the loss after thirty steps of a regression
# is a staircase in its decay `b1`. Where the slope of JAX is zero, there is still a
# slope to be had: that of the staircase after smoothing, the mean of the loss over a
# small cloud of `theta`. `hypergrad(mode="es")` estimates it by running the training at
# pairs of random places (evolution strategies). It needs values only, so signs, choices
# and codes are all the same to it; the price is a pair of runs for each sample, and an
# estimate with noise, whose standard error it reports.

# %%
STEPS, WIDTH, CLOUD = 30, 32, 0.02
keys = jax.random.split(jax.random.key(0), 4)
SCALES = jnp.linspace(1.5, 0.3, WIDTH).at[-1].set(0.0)
TRUE = jax.random.normal(keys[0], (WIDTH,))


def examples(key, shape):
    x = jax.random.normal(key, (*shape, WIDTH)) * SCALES
    noise = jax.random.normal(jax.random.fold_in(key, 1), shape)
    return {"x": x, "y": x @ TRUE + 0.5 * noise}


BATCHES, TEST = examples(keys[1], (STEPS, 8)), examples(keys[2], (200,))


def loss(w, batch):
    return jnp.mean((batch["x"] @ w - batch["y"]) ** 2 / 2)


def lion(b1):
    return optax.lion(0.05, b1=b1, weight_decay=0.0)


def lion_step(theta, state, t):
    w, memory = state
    batch = jax.tree.map(lambda x: x[t], BATCHES)
    updates, memory = lion(theta).update(jax.grad(loss)(w, batch), memory, w)
    return optax.apply_updates(w, updates), memory


def lion_start(theta):
    w = jnp.zeros(WIDTH)
    return w, lion(theta).init(w)


inner = InnerProblem(lion_start, lion_step, STEPS, read=lambda state: state[0])


@jax.jit
def values(thetas):
    """The losses for all these theta."""

    def of(theta):
        step = lambda state, t: (lion_step(theta, state, t), None)
        (w, _), _ = jax.lax.scan(step, lion_start(theta), jnp.arange(STEPS))
        return loss(w, TEST)

    return jax.vmap(of)(thetas)


def slope_line(axes, theta, value, slope, reach, **style):
    x = np.array([-reach, reach])
    axes.plot(theta + x, value + slope * x, **style)


@jax.jit
def smoothed_slope(theta, key):
    value, slope, info = hypergrad(
        lambda theta, w: loss(w, TEST),
        inner,
        theta,
        mode="es",
        key=key,
        pairs=32,
        sigma=CLOUD,
    )
    return value, slope, info["standard_error"]


fine = np.linspace(0.5, 0.95, POINTS)
stairs = np.asarray(values(fine))
near = np.exp(-(((fine[:, None] - fine) / CLOUD) ** 2) / 2)
smooth = near @ stairs / near.sum(axis=1)

figure, axes = plt.subplots(figsize=(7, 3.8))
axes.plot(fine, stairs, color="black", alpha=0.35, label="loss of Lion")
axes.plot(fine, smooth, color=GREEN, lw=2, label="mean over a cloud")
for i, at in enumerate(np.linspace(0.55, 0.9, 3 if SMALL else 8)):
    _, slope, error = smoothed_slope(at, jax.random.key(i))
    here = np.interp(at, fine, smooth)
    label = None if i else "slope by es, with its error"
    slope_line(axes, at, here, slope, 0.018, color=RED, lw=2.5, label=label)
    reach = np.array([-0.018, 0.0, 0.018])
    low, high = here + reach * (slope - error), here + reach * (slope + error)
    axes.fill_between(at + reach, low, high, color=RED, alpha=0.25)
axes.set(xlabel="decay b1", ylabel="loss after training")
axes.set(title="A slope for the staircase")
axes.legend()
plt.show()

# %% [markdown]
# ## 2. Chaos: a step size beyond the edge
#
# Gradient descent on the double well `(w^2 - 1)^2 / 4` settles with a small step size,
# jumps between two points with a larger one, and is chaotic at 2: the derivative of the
# end is exact for the path that was computed, and grows with every step. `health=True`
# gives the growth of the adjoint, back from the end, and the number of last steps over
# which half of the digits are left: a hypergradient over more of them says nothing
# about the run in exact arithmetic. Truncate there, or smooth (section 1).


# %%
def well_step(rate, w, t):
    return w - rate * (w**3 - w)


well = InnerProblem(lambda rate: jnp.float64(0.3), well_step, 60, read=lambda w: w)
reverse = jax.jit(
    functools.partial(hypergrad, lambda rate, w: w, well, mode="reverse", health=True)
)

figure, axes = plt.subplots(figsize=(7, 3.8))
print(f"{'step size':>10}{'reverse':>14}{'difference':>14}{'horizon':>10}")
for rate, color in ((0.4, BLUE), (1.2, VIOLET), (2.0, RED)):
    end, slope, info = reverse(jnp.float64(rate))
    further = reverse(jnp.float64(rate + 1e-7))[0]
    health = info["health"]
    steps = np.arange(len(health.growth))
    axes.semilogy(steps, health.growth, color=color, lw=2, label=f"step size {rate}")
    difference = float(further - end) / 1e-7
    print(f"{rate:10}{float(slope):14.3g}{difference:14.3g}{int(health.horizon):10}")
half = float(jnp.finfo(jnp.float64).eps) ** -0.5
axes.axhline(half, color="black", ls=":", label="half of the digits")
axes.set(xlabel="step", ylabel="growth of the adjoint from the end")
axes.set(title="The reach of a hypergradient")
axes.legend()
plt.show()
