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
# # Learn a learning-rate schedule by gradient
#
# A schedule for N steps is N numbers. Searching them one by one is hopeless, so one
# searches a family (constant, cosine) with a number or two. But the loss at the end of
# training is a function of all N numbers, and **one reverse pass through the training
# run** gives its derivative by all of them. Then the schedule can be trained like
# anything else.
#
# 1. The derivative, with finite differences beside it.
# 2. Its memory.
# 3. The learned schedule, against the best constant and the best cosine.
#
# Run it with `SMALL=1` in the environment for a quick look with very short training.

# %%
import functools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxopt_lab import from_train_step, hypergrad
from jaxopt_lab.training import init_state, make_train_step

# Finite differences subtract numbers that nearly agree.
jax.config.update("jax_enable_x64", True)

SMALL = os.environ.get("SMALL", "") not in ("", "0")
N = 16 if SMALL else 100  # steps of training

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
BLUE, GREEN, RED, GREY = "#1f5fa8", "#2a9d6f", "#d1495b", "#8a8f98"

# %% [markdown]
# ## The training run
#
# Handwritten digits of 8 x 8 pixels, a network with 32 hidden units, N steps of
# gradient descent with momentum on 16 examples each. `theta` holds the logarithm of
# the learning rate of every step. A run has its own first weights and its own draw of
# examples, both from a key. 800 digits are for training, 400 judge the schedules, and
# the rest is for the test at the end.

# %%
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
ALL = {"x": digits.data[order] / 16, "y": digits.target[order]}
TRAIN, JUDGE, TEST = (
    jax.tree.map(lambda a, part=part: jnp.asarray(a[part]), ALL)
    for part in (slice(800), slice(800, 1200), slice(1200, None))
)


def first_weights(key):
    draw = jax.nn.initializers.he_normal()
    one, two = jax.random.split(key)
    return {
        "hidden": {"kernel": draw(one, (64, 32)), "bias": jnp.zeros(32)},
        "out": {"kernel": draw(two, (32, 10)), "bias": jnp.zeros(10)},
    }


def logits(params, x):
    hidden = jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return hidden @ params["out"]["kernel"] + params["out"]["bias"]


def loss(params, batch):
    return jnp.mean(
        optax.softmax_cross_entropy_with_integer_labels(
            logits(params, batch["x"]), batch["y"]
        )
    )


def loss_fn(params, model_state, batch, key):
    return loss(params, batch), (model_state, {})


def optimizer(theta):
    return optax.sgd(lambda count: jnp.exp(theta[count]), momentum=0.9)


def training(key):
    """The run of this key, as an inner problem."""
    here, there = jax.random.split(key)
    picks = jax.random.randint(here, (N, 16), 0, len(TRAIN["y"]))
    return from_train_step(
        lambda theta: make_train_step(loss_fn, optimizer(theta)),
        lambda theta: init_state(optimizer(theta), first_weights(there), here),
        jax.tree.map(lambda a: a[picks], TRAIN),
    )


def judged(theta, params):
    return loss(params, JUDGE)


START = jnp.full(N, jnp.log(0.02))

# %% [markdown]
# ## 1. N derivatives in one pass
#
# How much does the loss at the end change with the learning rate of step t? The line
# is `hypergrad`: all steps at once, by one reverse pass. Each dot is a central finite
# difference, which takes two training runs of its own.

# %%
KEY = jax.random.key(1)
gradient = jax.jit(
    lambda theta, key: hypergrad(judged, training(key), theta, remat="sqrt")[:2]
)
_, by_jax = gradient(START, KEY)

CHECKED = np.arange(0, N, 5)
H = 1e-4


@jax.jit
def end_of(theta, key):
    """The loss at the end, without a derivative."""
    inner = training(key)
    step = lambda carry, t: (inner.step(theta, carry, t), None)
    carry, _ = jax.lax.scan(step, inner.init(theta), jnp.arange(N))
    return judged(theta, inner.read(carry))


def difference(t):
    nudge = jnp.zeros(N).at[t].set(H)
    return (end_of(START + nudge, KEY) - end_of(START - nudge, KEY)) / (2 * H)


by_differences = np.array([difference(t) for t in CHECKED])
off = np.abs(by_jax[CHECKED] - by_differences).max() / np.abs(by_jax).max()
print(f"largest distance, relative to the largest slope: {off:.1e}")

figure, axes = plt.subplots(figsize=(7.5, 3.4))
axes.plot(by_jax, color=BLUE, lw=1.5, label=f"hypergrad: {N} slopes, one reverse pass")
label = f"finite differences: {2 * len(CHECKED)} runs"
axes.plot(CHECKED, by_differences, "o", color=RED, ms=5, label=label)
axes.axhline(0, color="black", lw=0.8)
axes.set(xlabel="step of training", ylabel="change of the last loss\nwith log rate")
axes.set(title="Where a larger learning rate would help (below zero) or harm (above)")
axes.legend()
plt.show()

# %% [markdown]
# ## 2. The memory
#
# A reverse pass needs what the steps computed. `remat="sqrt"` keeps about 2 sqrt(N)
# states and computes the rest again, a number keeps that many levels of them. All give
# the same slopes; the bytes are those that the compiled program allocates.

# %%
LENGTHS = (N,) if SMALL else (25, 200, 1600)
REMATS = {"sqrt": "sqrt", "three levels": 3, "step": "step", "none": "none"}
if SMALL:
    REMATS = {"sqrt": "sqrt"}


def megabytes(remat, n):
    inner = training(KEY).replace(n=n)
    theta = jax.ShapeDtypeStruct((n,), float)
    program = jax.jit(lambda theta: hypergrad(judged, inner, theta, remat=remat)[1])
    analysis = program.lower(theta).compile().memory_analysis()
    return analysis.temp_size_in_bytes / 1e6


figure, axes = plt.subplots(figsize=(6.5, 3.6))
shades = iter((BLUE, GREEN, "#edae49", GREY))
for name, remat in REMATS.items():
    found = [megabytes(remat, n) for n in LENGTHS]
    axes.loglog(LENGTHS, found, "o-", color=next(shades), label=name)
axes.set(xlabel="steps of training", ylabel="memory of the reverse pass, MB")
axes.set(title="Long runs need not be stored")
axes.legend(title="remat")
plt.show()

# %% [markdown]
# ## 3. The learned schedule
#
# Adam on `theta`; every time four new runs, whose derivatives are averaged, so that the
# schedule is made for this kind of run and not for one of them. It starts as a
# constant.

# %%
OUTER = 4 if SMALL else 300


@functools.partial(jax.jit, static_argnums=1)
def learn(theta, steps):
    tx = optax.adam(optax.cosine_decay_schedule(0.05, steps))

    def step(carry, key):
        theta, memory = carry
        values, slopes = jax.vmap(lambda k: gradient(theta, k))(
            jax.random.split(key, 4)
        )
        updates, memory = tx.update(slopes.mean(axis=0), memory)
        return (optax.apply_updates(theta, updates), memory), (theta, values.mean())

    keys = jax.random.split(jax.random.key(2), steps)
    (theta, _), (way, values) = jax.lax.scan(step, (theta, tx.init(theta)), keys)
    return theta, way, values


LEARNED, WAY, VALUES = learn(START, OUTER)
print(f"judged loss: first {VALUES[:10].mean():.3f}, last {VALUES[-10:].mean():.3f}")

# %% [markdown]
# Its rivals have one number each, the peak, which is searched over a grid on 64 runs,
# by the same judge.

# %%
PEAKS = np.geomspace(0.005, 2, 6 if SMALL else 30)
RUNS = jax.random.split(jax.random.key(3), 4 if SMALL else 64)
SHAPES = {
    "constant": np.zeros(N),
    "cosine": np.log((1 + np.cos(np.pi * np.arange(N) / N)) / 2),
}
over_runs = jax.jit(jax.vmap(end_of, (None, 0)))
SCHEDULES = {}
for name, shape in SHAPES.items():
    found = [over_runs(shape + np.log(peak), RUNS).mean() for peak in PEAKS]
    best = PEAKS[np.nanargmin(found)]
    SCHEDULES[name] = shape + np.log(best)
    print(f"{name}: best peak {best:.3f}")
SCHEDULES["learned"] = LEARNED
COLORS = {"constant": GREY, "cosine": "#edae49", "learned": BLUE}


def curve(theta, key):
    """Test loss after every step, and the share of right answers at the end."""
    inner = training(key)

    def step(carry, t):
        carry = inner.step(theta, carry, t)
        return carry, loss(inner.read(carry), TEST)

    carry, losses = jax.lax.scan(step, inner.init(theta), jnp.arange(N))
    guess = logits(inner.read(carry), TEST["x"]).argmax(axis=-1)
    return losses, jnp.mean(guess == TEST["y"])


over_fresh = jax.jit(jax.vmap(curve, (None, 0)))
FRESH = jax.random.split(jax.random.key(4), 4 if SMALL else 64)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
shown = np.linspace(0, OUTER - 1, 5).astype(int)[1:-1]
left.plot(np.exp(START), "--", color="black", lw=1.2, label="before")
for i in shown:
    label = "on the way" if i == shown[0] else None
    left.plot(np.exp(WAY[i]), color=BLUE, lw=1, alpha=0.3, label=label)
for name, theta in SCHEDULES.items():
    color = COLORS[name]
    left.plot(np.exp(theta), color=color, lw=2, label=name)
    losses, right_share = over_fresh(theta, FRESH)
    low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75], axis=0)
    right.plot(np.arange(1, N + 1), middle, color=color, lw=2, label=name)
    right.fill_between(np.arange(1, N + 1), low, high, color=color, alpha=0.2)
    end = losses[:, -1]
    error = end.std() / np.sqrt(len(end))
    print(
        f"{name:9} test loss {end.mean():.3f} +- {error:.3f}, "
        f"right {100 * right_share.mean():.1f} %"
    )
left.set(yscale="log", xlabel="step of training", ylabel="learning rate")
left.set(title="The schedule before and after", ylim=(2e-3, 2))
left.legend(loc="lower left", ncols=2)
right.set(yscale="log", xlabel="step of training", ylabel="test loss")
right.set(title=f"New runs, digits not seen before ({len(FRESH)} runs)")
right.set_yticks((0.2, 0.5, 1, 2), ("0.2", "0.5", "1", "2"))
right.minorticks_off()
right.legend()
plt.show()

# %% [markdown]
# What nobody told it: ten careful steps after a bold first one, a plateau, and a
# decline by a factor of ten near the end, much as in schedules made by hand. Its loss
# is behind that of the cosine for most of the run, since the judge looks at the end
# only. And there it leaps: the last rates climb again, along a momentum that is the
# mean of the last gradients, with no step left in which that could do harm.
#
# How much of the gain is the leap? Below, the last five rates stay at the level before.
# All of the gain over the cosine goes with them. A gradient finds what the judge
# rewards, so have it judge what you mean: the mean loss over the last steps, say.

# %%
flat = LEARNED.at[-5:].set(LEARNED[-6])
for name, theta in (("learned", LEARNED), ("without the leap", flat)):
    losses, _ = over_fresh(theta, FRESH)
    print(f"{name:17} test loss {losses[:, -1].mean():.3f}")
