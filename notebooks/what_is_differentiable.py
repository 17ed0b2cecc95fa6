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
# # What is differentiable, and what is not
#
# The loss at the end of a training run is a function of the optimizer's numbers, and
# `jax.grad` gives its slope without a complaint. Whether that slope is **of use**
# depends on what the optimizer does inside. Each figure shows the loss as a function of
# one number, with two slopes: that of JAX, and that of a central finite difference.
#
# 1. Adam: smooth, with one trap.
# 2. Signs (Lion), 3. the choice of what a buffer keeps, 4. the k largest (ESAM,
#    MicroAdam): steps and jumps, where JAX is right about the ground under its feet.
# 5. Moments stored as codes (8-bit AdamW): JAX cannot see through an integer.
#
# `staircases_and_chaos` shows what to do on a staircase, and how far slopes reach.
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

import jaxopt_lab
from jaxopt_lab import unroll

# Finite differences subtract numbers that nearly agree.
jax.config.update("jax_enable_x64", True)

SMALL = os.environ.get("SMALL", "") not in ("", "0")
POINTS = 41 if SMALL else 801  # of each curve

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
# ## The training run
#
# Thirty steps of regression with 32 weights, eight examples a step, and the squared
# error on other examples at the end. The last feature is zero in all examples, like a
# word that does not occur or a relu that is dead. `unroll` is the loop that may be
# differentiated.

# %%
STEPS, WIDTH = 30, 32
keys = jax.random.split(jax.random.key(0), 4)
SCALES = jnp.linspace(1.5, 0.3, WIDTH).at[-1].set(0.0)
TRUE = jax.random.normal(keys[0], (WIDTH,))


def examples(key, shape):
    x = jax.random.normal(key, (*shape, WIDTH)) * SCALES
    noise = jax.random.normal(jax.random.fold_in(key, 1), shape)
    return {"x": x, "y": x @ TRUE + 0.5 * noise}


BATCHES, TEST = examples(keys[1], (STEPS, 8)), examples(keys[2], (200,))


def losses(w, batch):
    return (batch["x"] @ w - batch["y"]) ** 2 / 2


def loss(w, batch):
    return jnp.mean(losses(w, batch))


def last_loss(make):
    """The test loss after training with ``make(theta)``, as a function of theta."""

    def of(theta):
        tx = optax.with_extra_args_support(make(theta))

        def step(state, batch):
            w, memory = state
            grad_fn = jaxopt_lab.batch_grad(loss, batch, example_losses=losses)
            updates, memory = tx.update(grad_fn(w), memory, w, grad_fn=grad_fn)
            return optax.apply_updates(w, updates), memory

        start = jnp.zeros(WIDTH)
        w, _ = unroll(step, (start, tx.init(start)), BATCHES, remat="none")
        return loss(w, TEST)

    return of


PORTION = 50


@functools.cache
def programs(make):
    of = last_loss(make)
    return jax.jit(jax.vmap(of)), jax.jit(jax.vmap(jax.grad(of)))


def in_portions(program, theta):
    """Portions of one size, so that each program is compiled once."""
    theta = np.atleast_1d(np.asarray(theta, float))
    padded = np.pad(theta, (0, -len(theta) % PORTION), mode="edge")
    parts = padded.reshape(-1, PORTION)
    return np.concatenate([program(part) for part in parts])[: len(theta)]


def values(make, theta):
    """The losses for all these theta."""
    return in_portions(programs(make)[0], theta)


def slopes(make, theta):
    """Their slopes, by JAX."""
    return in_portions(programs(make)[1], theta)


def differences(make, theta, h):
    """Their slopes by central finite differences, of one width or of many."""
    theta, h = np.broadcast_arrays(np.asarray(theta, float), h)
    both = values(make, np.concatenate([np.ravel(theta + h), np.ravel(theta - h)]))
    return (both[: theta.size] - both[theta.size :]) / (2 * np.ravel(h))


# %% [markdown]
# ## 1. Smooth: Adam
#
# Left: the loss against the step size. The slopes of JAX (blue lines) lie on the
# curve. Right: their distance to the finite difference, for narrower and narrower
# differences. It falls with the square of the width until rounding takes over, as it
# must where a slope exists and is right.
#
# The trap: the dead feature has the gradient zero, Adam divides by the root of a
# second moment of zero, and the slope of that root is infinite. optax's own Adam gives
# NaN. `jaxopt_lab.differentiable` changes no value, and takes the slope for what it
# is there: zero.


# %%
def adam(rate):
    return jaxopt_lab.differentiable(optax.adam(rate))


AT = (0.03, 0.08, 0.3)
own, safe = (float(slopes(make, 0.08)[0]) for make in (optax.adam, adam))
print(f"slope at 0.08: optax.adam {own:.4f}, differentiable(optax.adam) {safe:.4f}")
same = np.array_equal(values(optax.adam, AT), values(adam, AT))
print("the same losses, to the last bit:", same)

WIDTHS = np.logspace(-1.5, -8, 6 if SMALL else 27)


def slope_line(axes, theta, value, slope, reach, **style):
    x = np.array([-reach, reach])
    axes.plot(theta + x, value + slope * x, **style)


figure, panels = plt.subplots(1, 2, figsize=(10, 3.6))
rates = np.linspace(0.01, 0.5, POINTS)
panels[0].plot(rates, values(adam, rates), color="black", lw=3, alpha=0.25)
for i, (rate, slope) in enumerate(zip(AT, slopes(adam, AT), strict=True)):
    style = {"color": BLUE, "lw": 2, "label": None if i else "slope by JAX"}
    slope_line(panels[0], rate, values(adam, rate), slope, 0.025, **style)
    off = np.abs(differences(adam, rate, rate * WIDTHS) / slope - 1)
    panels[1].loglog(WIDTHS, off, "o-", ms=3, label=f"step size {rate}")
panels[0].set(xlabel="step size of Adam", ylabel="loss after training")
panels[0].set(title="A smooth function")
panels[0].legend()
panels[1].set(xlabel="width of the finite difference / step size")
panels[1].set(
    ylabel="relative distance of the slopes", title="JAX and differences agree"
)
panels[1].legend()
plt.show()

# %% [markdown]
# ## 2. Signs: Lion
#
# Lion steps by the sign of an average, and a sign does not answer to small changes.
# Each row below shows one number of it, on the left from afar, on the right in a close
# view of the same place.
#
# - The **decay `b1`** acts through the signs alone. The loss is a staircase, its slope
#   is zero on every stair, and JAX says so. Right, and of no use: the trend is far from
#   zero, as the broad difference shows (green).
# - The **step size** also scales every step, so each piece has a slope of its own. JAX
#   gives it exactly (the narrow difference, red, lies on it), and it is not the slope
#   of the hill: the pieces climb where the hill is flat, and jumps take it all back.

# %%
ROWS = []  # of the table at the end


def two_views(panels, name, number, makes, at, low, high, close):
    """The loss from afar and from near, with the slopes at one place."""
    jax_slopes = {label: slopes(make, at)[0] for label, make in makes.items()}
    make = next(iter(makes.values()))
    middle = values(make, at)
    narrow, broad = differences(make, at, [1e-4 * close, (high - low) / 20])
    ROWS.append((f"{name}, {number}", jax_slopes, narrow, broad))
    views = (
        (panels[0], low, high, "broad difference", broad, GREEN),
        (panels[1], at - close, at + close, "narrow difference", narrow, RED),
    )
    for axes, left, right, label, slope, color in views:
        theta = np.linspace(left, right, POINTS)
        curve = values(make, theta)
        axes.plot(theta, curve, color="black", lw=1.5, alpha=0.35)
        reach = (right - left) / 7
        line = functools.partial(slope_line, axes, at, middle)
        for key, shade in zip(jax_slopes, (BLUE, VIOLET), strict=False):
            line(jax_slopes[key], reach, color=shade, lw=2.5, label=key)
        line(slope, reach, color=color, lw=2, ls=(0, (3, 2)), label=label)
        axes.plot(at, middle, "o", color="black", ms=5)
        room = max(0.15 * (curve.max() - curve.min()), 1e-6)
        axes.set(xlabel=number, ylim=(curve.min() - room, curve.max() + room))
        axes.xaxis.set_major_locator(plt.MaxNLocator(5))
        axes.legend(fontsize=8)
    panels[0].set(ylabel="loss after training", title=f"{name}: from afar")
    panels[1].set(title="the same from near")


def figure_of(rows):
    _, grid = plt.subplots(len(rows), 2, figsize=(10, 3.3 * len(rows)), squeeze=False)
    for panels, row in zip(grid, rows, strict=True):
        two_views(panels, *row)
    plt.show()


def lion_decay(b1):
    return optax.lion(0.05, b1=b1, weight_decay=0.0)


def lion_rate(rate):
    return optax.lion(rate, weight_decay=0.0)


BY_JAX = "JAX"
figure_of(
    [
        ("Lion", "decay b1", {BY_JAX: lion_decay}, 0.7, 0.5, 0.95, 0.01),
        ("Lion", "step size", {BY_JAX: lion_rate}, 0.06275, 0.02, 0.12, 0.0006),
    ]
)

# %% [markdown]
# ## 3. Choice: a buffer of critical gradients
#
# `sgd_cg` keeps the five steepest gradients so far and adds their mean, times `kappa`,
# to every gradient. Which gradients stay is decided by comparing keys, an argmin.
#
# - The **decay of the keys** only decides who stays: a staircase again, slope zero.
# - **`kappa`** multiplies what stays: the pieces are long, the jumps between them
#   small, and JAX, the narrow and the broad difference tell much the same. Here a
#   derivative through a choice is as good as any.


# %%
def buffer_decay(decay):
    return jaxopt_lab.sgd_cg(0.02, capacity=5, priority_decay=decay)


def buffer_weight(kappa):
    return jaxopt_lab.sgd_cg(0.02, capacity=5, priority_decay=0.9, kappa=kappa)


figure_of(
    [
        ("sgd_cg", "decay of keys", {BY_JAX: buffer_decay}, 0.955, 0.85, 0.999, 0.003),
        ("sgd_cg", "weight kappa", {BY_JAX: buffer_weight}, 1.2, 0.0, 3.0, 0.03),
    ]
)

# %% [markdown]
# ## 4. The k largest: ESAM and MicroAdam
#
# - **ESAM** descends on those examples whose loss rises most when the weights are
#   moved by `rho`. Two of eight are chosen; when another pair takes over, the loss
#   jumps.
# - **MicroAdam** lets only the largest quarter of the coordinates into its window, and
#   keeps the rest as 4-bit codes for later. From afar its loss is a valley with some
#   roughness. From near there are jumps everywhere, and JAX is right about a piece that
#   ends at once. Its option `straight_through=True` (violet) takes the rounding for the
#   identity in the derivative: the same trajectory, another slope, wrong on the piece.
#   (In 32 bits the window is stored as bits, and codes lose the way through it,
#   as in section 5.)


# %%
def hard_examples(rho):
    link = jaxopt_lab.esam(rho, beta=1.0, gamma=0.25)
    return optax.chain(link, optax.sgd(0.05))


def sparse(through):
    return lambda rate: jaxopt_lab.microadam(
        rate,
        window=4,
        density=0.25,
        block_size=32,
        quant_block=8,
        straight_through=through,
    )


STORES = {"JAX, codes": sparse(False), "JAX, values": sparse(True)}
figure_of(
    [
        ("ESAM", "radius rho", {BY_JAX: hard_examples}, 0.5, 0.0, 1.2, 0.02),
        ("MicroAdam", "step size", STORES, 0.206, 0.01, 0.4, 0.0002),
    ]
)

# %% [markdown]
# ## 5. Codes: AdamW in 8 bits
#
# Between two steps the moments are integers, and integers have no derivative in JAX:
# all that passes through the memory of Adam is lost to it, and only the way through
# the weights is left. The trajectory moves on a fine sawtooth around that of Adam.
#
# `straight_through=True` keeps the rounded numbers as floats (the same trajectory to
# the last bit, no memory saved) and lets derivatives pass straight through the
# rounding. This ignores the teeth, so it disagrees with the narrow difference; but the
# smooth function below is what one wants to descend, and the broad difference agrees
# with it best.


# %%
def coded(through):
    return lambda b1: jaxopt_lab.adamw8bit(
        0.1, b1=b1, weight_decay=0.0, block=32, min_size=1, straight_through=through
    )


CODES = {"JAX, codes": coded(False), "JAX, values": coded(True)}
figure_of([("AdamW, 8 bits", "decay b1", CODES, 0.5999, 0.3, 0.95, 0.0001)])

# %% [markdown]
# The same at many places. For 8-bit AdamW the straight-through slopes (violet) keep to
# the broad differences along the whole curve; those without the moments (blue) are too
# steep, and would have the best `b1` in another place. For MicroAdam both follow while
# the loss falls steeply. In the valley the choice of coordinates remains, which is not
# smoothed by `"values"`, and no slope tells much.


# %%
def along(axes, name, number, makes, places, width):
    for (label, make), color in zip(makes.items(), (BLUE, VIOLET), strict=True):
        axes.plot(places, slopes(make, places), color=color, lw=2, label=label)
    rise = differences(next(iter(makes.values())), places, width)
    style = {"color": GREEN, "ls": (0, (3, 2)), "lw": 2}
    axes.plot(places, rise, **style, label="broad difference")
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel=number, ylabel="slope of the loss", title=name)
    axes.legend()


COUNT = 9 if SMALL else 60
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6))
decays, sizes = np.linspace(0.35, 0.94, COUNT), np.linspace(0.03, 0.3, COUNT)
along(panels[0], "AdamW, 8 bits", "decay b1", CODES, decays, 0.02)
along(panels[1], "MicroAdam", "step size", STORES, sizes, 0.02)
plt.show()

# %% [markdown]
# ## All slopes
#
# Where JAX and the narrow difference agree, the derivative is right. Where JAX and the
# broad difference agree, it is of use.

# %%
print(f"{'':32}{'JAX':>10}{'narrow':>10}{'broad':>10}")
for name, jax_slopes, narrow, broad in ROWS:
    for label, slope in jax_slopes.items():
        store = label.removeprefix("JAX").replace(", ", " ")
        print(f"{name + store:32}{slope:10.3f}{narrow:10.3f}{broad:10.3f}")
