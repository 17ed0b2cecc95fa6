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
# # Weight decay per layer and the rho of SAM, by hypergradients
#
# Sharpness-aware minimization takes its gradient at a distance rho uphill; weight decay
# pulls every layer to zero, and every layer could have a strength of its own. One such
# number is found with a grid. Three together take a grid of three dimensions, thirty
# layers one of thirty. The loss on held-out examples, at the end of training, is a
# function of all of them, and **one reverse pass through the training run, with the
# ascent steps of SAM in it,** gives all the derivatives.
#
# 1. The first hypergradient, with finite differences beside it.
# 2. The numbers, learned: decay alone, rho alone, both.
# 3. The learned rho, against a grid over rho.
# 4. What it is worth on examples not seen before.
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

from jaxopt_lab import from_train_step, hypergrad, sam
from jaxopt_lab.training import init_state, make_train_step

# Finite differences subtract numbers that nearly agree.
jax.config.update("jax_enable_x64", True)

SMALL = os.environ.get("SMALL", "") not in ("", "0")
N = 12 if SMALL else 400  # steps of training
OUTER = 3 if SMALL else 80  # steps on the three numbers
RUNS = 2 if SMALL else 24  # fresh runs that compare
EXAMPLES, WRONG, BATCH, RATE = 200, 0.3, 50, 0.05

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
COLORS = {"hidden": BLUE, "out": GREEN, "rho": RED}

# %% [markdown]
# ## The training run
#
# Handwritten digits of 8 x 8 pixels: 200 for training, of which 60 have a wrong label,
# so that a network that fits everything has learned too much. 600 examples with right
# labels judge, and the rest is for the end. The network has 64 hidden units; it is
# trained by SAM on gradient descent with momentum and a cosine schedule. `theta` holds
# the logarithms of two decays, of the hidden and of the last layer, and of rho.

# %%
digits = load_digits()
draw = np.random.default_rng(0)
order = draw.permutation(len(digits.target))
IMAGES, LABELS = digits.data[order] / 16, digits.target[order]
GIVEN = LABELS.copy()
bad = draw.permutation(EXAMPLES)[: int(WRONG * EXAMPLES)]
GIVEN[bad] = (GIVEN[bad] + draw.integers(1, 10, len(bad))) % 10
TRAIN, JUDGE, TEST = (
    {"x": jnp.asarray(IMAGES[part]), "y": jnp.asarray(GIVEN[part])}
    for part in (slice(EXAMPLES), slice(EXAMPLES, 800), slice(800, None))
)


def first_weights(key):
    draw = jax.nn.initializers.he_normal()
    one, two = jax.random.split(key)
    return {
        "hidden": {"kernel": draw(one, (64, 64)), "bias": jnp.zeros(64)},
        "out": {"kernel": draw(two, (64, 10)), "bias": jnp.zeros(10)},
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


def only(layer):
    """The mask that chooses the kernel of a layer."""
    return lambda params: {
        name: {"kernel": name == layer, "bias": False} for name in params
    }


def optimizer(theta, rate=RATE):
    return optax.chain(
        sam(jnp.exp(theta["rho"])),
        *(
            optax.masked(optax.add_decayed_weights(jnp.exp(theta[name])), only(name))
            for name in ("hidden", "out")
        ),
        optax.sgd(optax.cosine_decay_schedule(rate, N), momentum=0.9),
    )


def training(key, rate=RATE):
    """The run of this key, as an inner problem."""
    here, there = jax.random.split(key)
    picks = jax.random.randint(here, (N, BATCH), 0, EXAMPLES)
    return from_train_step(
        lambda theta: make_train_step(loss_fn, optimizer(theta, rate)),
        lambda theta: init_state(optimizer(theta), first_weights(there), here),
        jax.tree.map(lambda a: a[picks], TRAIN),
    )


def judged(theta, params):
    return loss(params, JUDGE)


START = {
    name: jnp.log(x) for name, x in (("hidden", 1e-3), ("out", 1e-3), ("rho", 0.02))
}
NAMES = {"hidden": "decay,\nhidden layer", "out": "decay,\nlast layer", "rho": "rho"}

# %% [markdown]
# ## 1. Three derivatives in one pass
#
# By how much does the judged loss change when a number grows by a factor of e? The bars
# are `hypergrad`, on four runs with first weights of their own; the dots are central
# finite differences, two training runs each.


# %%
@jax.jit
def gradient(theta, key, rate=RATE):
    return hypergrad(judged, training(key, rate), theta, remat="sqrt")[:2]


def network(theta, key):
    """The parameters at the end, without a derivative."""
    inner = training(key)
    step = lambda carry, t: (inner.step(theta, carry, t), None)
    return inner.read(jax.lax.scan(step, inner.init(theta), jnp.arange(N))[0])


end_of = jax.jit(lambda theta, key: judged(theta, network(theta, key)))
H = 1e-4


def difference(name, key):
    nudged = [START | {name: START[name] + sign * H} for sign in (1, -1)]
    up, down = (end_of(theta, key) for theta in nudged)
    return (up - down) / (2 * H)


KEYS = jax.random.split(jax.random.key(1), 4)
figure, places = plt.subplots(1, 3, figsize=(9.5, 3.2))
slopes = [gradient(START, key)[1] for key in KEYS]
for (name, title), axes in zip(NAMES.items(), places, strict=True):
    by_jax = np.array([slope[name] for slope in slopes])
    by_differences = np.array([difference(name, key) for key in KEYS])
    off = np.abs(by_jax - by_differences).max() / np.abs(by_jax).max()
    print(f"{name:6} largest relative distance {off:.1e}")
    axes.bar(range(4), by_jax, color=COLORS[name], width=0.6)
    axes.plot(range(4), by_differences, "o", color="black", ms=5)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(title=title.replace("\n", " "), xlabel="run", xticks=range(4))
    axes.grid(axis="x", visible=False)
places[0].set(ylabel="change of the judged loss\nper factor of e")
figure.suptitle("Bars: one reverse pass. Dots: finite differences")
plt.show()

# %% [markdown]
# ## 2. The numbers, learned
#
# Adam on the logarithms, each step with four new runs whose derivatives are averaged.
# Three times: only the decays, without SAM; only rho, without decay; and all together.

# %%
OFF = -30.0  # the logarithm of nothing


@functools.partial(jax.jit, static_argnums=1)
def learn(learned, steps):
    tx = optax.adam(0.1)
    chosen = lambda theta: {k: jnp.where(learned[k], x, OFF) for k, x in theta.items()}

    def step(carry, key):
        theta, memory = carry
        values, slopes = jax.vmap(lambda k: gradient(chosen(theta), k))(
            jax.random.split(key, 4)
        )
        mean = {name: x.mean() for name, x in slopes.items()}
        updates, memory = tx.update(mean, memory)
        theta = optax.apply_updates(theta, updates)
        return (theta, memory), (chosen(theta), values.mean())

    keys = jax.random.split(jax.random.key(2), steps)
    return jax.lax.scan(step, (START, tx.init(START)), keys)[1]


TOGETHER = {"decay": ("hidden", "out"), "rho": ("rho",), "both": tuple(START)}
WAYS = {
    name: learn({k: k in parts for k in START}, OUTER)
    for name, parts in TOGETHER.items()
}
LEARNED = {name: {k: x[-1] for k, x in way.items()} for name, (way, _) in WAYS.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.6))
for name, values in WAYS["both"][0].items():
    label = NAMES[name].replace("\n", " ")
    left.semilogy(np.exp(values), color=COLORS[name], lw=2, label=label)
left.set(xlabel="outer step", ylabel="value", title="All three, learned together")
left.legend()
shades = {"decay": BLUE, "rho": RED, "both": "black"}
for name, (_, values) in WAYS.items():
    window = min(10, OUTER)
    smooth = np.convolve(values, np.ones(window) / window, "valid")
    at = np.arange(len(smooth)) + window
    right.plot(at, smooth, color=shades[name], lw=2, label=f"learned: {name}")
right.set(xlabel="outer step", ylabel="judged loss", title="The loss that they reduce")
right.legend()
plt.show()
for name, theta in LEARNED.items():
    shown = {k: f"{np.exp(v):.2g}" for k, v in theta.items() if v > OFF}
    print(f"learned {name}: {shown}")

# %% [markdown]
# ## 3. Against a grid over rho
#
# With the learned decays, rho runs over a grid; every point is trained on fresh runs.
# The gradient should have stopped where the grid is lowest.


# %%
def between(values):
    """Mean over the runs, and its 95 % interval by the bootstrap."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
    return np.mean(values), low, high


def outcome(theta, key):
    params = network(theta, key)
    guess = logits(params, TEST["x"]).argmax(axis=-1)
    return loss(params, JUDGE), loss(params, TEST), jnp.mean(guess == TEST["y"])


over_fresh = jax.jit(jax.vmap(outcome, (None, 0)))
FRESH = jax.random.split(jax.random.key(3), RUNS)
GRID = np.geomspace(0.02, 3, 4 if SMALL else 13)
found = [over_fresh(LEARNED["both"] | {"rho": jnp.log(rho)}, FRESH) for rho in GRID]
figure, axes = plt.subplots(figsize=(7, 3.8))
for which, color, label in ((0, GREY, "judged loss"), (1, BLUE, "test loss")):
    mean, low, high = np.transpose([between(np.asarray(f[which])) for f in found])
    axes.plot(GRID, mean, "o-", color=color, lw=2, ms=4, label=label)
    axes.fill_between(GRID, low, high, color=color, alpha=0.2)
best = GRID[int(np.argmin([f[0].mean() for f in found]))]
here = float(np.exp(LEARNED["both"]["rho"]))
axes.axvline(np.exp(START["rho"]), color="black", ls=":", lw=1.2, label="rho before")
axes.axvline(here, color=RED, lw=1.5, label="rho learned")
axes.set(xscale="log", xlabel="rho", ylabel="loss after training")
axes.set(title=f"Mean and 95 % interval of {RUNS} fresh runs")
if not SMALL:
    axes.set_ylim(0.65, 1.35)  # the last rho of the grid is far above
axes.legend()
plt.show()
print(f"best of the grid (judged): rho {best:.2f}; learned: rho {here:.2f}")

# %% [markdown]
# ### Where this ends
#
# The slope by rho of eight runs, at every rho of the grid. With the rate of above they
# agree, and cross zero where the loss is lowest. With a rate four times as large, they
# are as right, and useless: beyond a rho of one half the run is chaotic, its end hangs
# on every rounding, and slopes of a million million say nothing about the mean. Before
# one trusts a gradient through a long run, one looks at a few of them. (Then smooth the
# question: `hypergrad(..., mode="es")` asks about an average over nearby numbers.)

# %%
slopes_of = jax.jit(jax.vmap(gradient, (None, 0, None)))
RATES = (RATE,) if SMALL else (RATE, 4 * RATE)
figure, places = plt.subplots(1, 2, figsize=(10.5, 3.6))
for rate, axes in zip(RATES, places, strict=False):
    some = [
        slopes_of(LEARNED["both"] | {"rho": jnp.log(rho)}, FRESH[:8], rate)[1]["rho"]
        for rho in GRID
    ]
    axes.plot(GRID, some, ".", color=RED, ms=5)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xscale="log", xlabel="rho", title=f"rate {rate}")
    axes.set_yscale("symlog", linthresh=0.1)
    decades = np.arange(-1, 2) if rate == RATE else np.arange(4, 25, 5)
    marks = 10.0**decades
    axes.set_yticks([*-marks[::-1], 0, *marks])
    axes.minorticks_off()
places[0].set(ylabel="slope of the judged loss\nby log rho")
plt.show()

# %% [markdown]
# ## 4. What it is worth

# %%
NONE = {name: jnp.asarray(OFF) for name in START}
SETTINGS = {
    "neither": NONE,
    "both,\nbefore": START,
    "decay,\nlearned": LEARNED["decay"],
    "rho,\nlearned": LEARNED["rho"],
    "both,\nlearned": LEARNED["both"],
    "both, rho\nfrom the grid": LEARNED["both"] | {"rho": jnp.log(best)},
}
figure, axes = plt.subplots(figsize=(8, 3.8))
shades = (GREY, GREY, BLUE, RED, "#5b4b8a", "#edae49")
for i, (name, theta) in enumerate(SETTINGS.items()):
    right_share = 100 * np.asarray(over_fresh(theta, FRESH)[2])
    mean, low, high = between(right_share)
    axes.bar(i, mean, color=shades[i], width=0.6)
    axes.errorbar(i, mean, [[mean - low], [high - mean]], color="black", capsize=4)
    plain = name.replace("\n", " ")
    print(f"{plain:24} right {mean:.1f} % ({low:.1f} to {high:.1f})")
axes.set_xticks(range(len(SETTINGS)), SETTINGS)
axes.set(ylabel="right answers in the test, %", ylim=(None if SMALL else 60, 90))
axes.set(title=f"Mean and 95 % interval of {RUNS} fresh runs")
axes.grid(axis="x", visible=False)
plt.show()

# %% [markdown]
# Rho alone brings nearly all of it here, and once rho may be learned the decays are
# let go again. The gradient found what the grid found. For one number a grid of 13 is
# no more work than 80 outer steps of four runs, and it is not led astray by chaos; the
# gradient earns its keep with the third number, and the thirtieth.
