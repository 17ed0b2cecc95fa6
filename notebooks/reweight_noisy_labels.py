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
# # Which labels are wrong? Ask the gradient
#
# Of 1,000 training examples, 400 carry a wrong label, and nobody knows which. Who
# labelled them takes a digit for the next one, a 6 for a 7. Besides, there are 100
# examples whose labels are trusted. Give every training example a weight
# in the loss, train, and measure the loss on the trusted examples: that number is a
# function of all 1,000 weights, **through the whole training run**, and one reverse
# pass gives its derivative by each of them. An example whose weight should fall is one
# that leads training astray.
#
# 1. The derivative, with finite differences beside it.
# 2. The learned weights: do they find the wrong labels?
# 3. What it is worth: test accuracy, beside training on all, on the right ones only,
#    and on the trusted ones only; also where wrong labels are any digit.
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
from sklearn.metrics import roc_auc_score, roc_curve

from jaxopt_lab import from_train_step, hypergrad
from jaxopt_lab.training import init_state, make_train_step

# Finite differences subtract numbers that nearly agree.
jax.config.update("jax_enable_x64", True)

SMALL = os.environ.get("SMALL", "") not in ("", "0")
N = 10 if SMALL else 100  # steps of training
OUTER = 3 if SMALL else 80  # steps on the weights
SEEDS = 2 if SMALL else 8  # draws of everything: split, flips, first weights
EXAMPLES, TRUSTED, WRONG, BATCH = 1000, 100, 0.4, 200

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
# gradient descent with momentum on 200 examples each. `theta` holds a number for every
# training example; its weight is the sigmoid of it, and a batch is weighted by its
# weights over their sum.

# %%
digits = load_digits()
IMAGES, LABELS = jnp.asarray(digits.data / 16), jnp.asarray(digits.target)


def world(key, farthest=1):
    """A draw of examples, of flipped labels and of a run."""
    split, flip, which, run = jax.random.split(key, 4)
    order = jax.random.permutation(split, len(LABELS))
    parts = jnp.split(order, (EXAMPLES, EXAMPLES + TRUSTED))
    train, trusted, test = ({"x": IMAGES[i], "y": LABELS[i]} for i in parts)
    wrong = jax.random.permutation(flip, EXAMPLES) < WRONG * EXAMPLES
    shift = jax.random.randint(which, (EXAMPLES,), 1, farthest + 1)
    given = jnp.where(wrong, (train["y"] + shift) % 10, train["y"])
    return {
        "train": {"x": train["x"], "y": given, "true": train["y"], "wrong": wrong},
        "trusted": trusted,
        "test": test,
        **drawn(run),
    }


def drawn(key):
    """First weights and the batches of a run."""
    first, batches = jax.random.split(key)
    return {
        "first": first_weights(first),
        "batches": jax.random.randint(batches, (N, BATCH), 0, EXAMPLES),
    }


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


def losses(params, examples):
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(params, examples["x"]), examples["y"]
    )


def accuracy(params, examples):
    return jnp.mean(logits(params, examples["x"]).argmax(axis=-1) == examples["y"])


TX = optax.sgd(0.1, momentum=0.9)


def weighted(theta):
    """The loss of a batch under these weights, as the train step takes it."""

    def loss_fn(params, model_state, batch, key):
        weight = jax.nn.sigmoid(theta[batch["number"]])
        mean = jnp.sum(weight * losses(params, batch)) / jnp.sum(weight)
        return mean, (model_state, {})

    return loss_fn


def training(here):
    """The run in this world, as an inner problem."""
    picks, train = here["batches"], here["train"]
    return from_train_step(
        lambda theta: make_train_step(weighted(theta), TX),
        lambda theta: init_state(TX, here["first"], jax.random.key(0)),
        {"x": train["x"][picks], "y": train["y"][picks], "number": picks},
    )


def trained(theta, here):
    """The network after the run, without a derivative."""
    inner = training(here)
    step = lambda carry, t: (inner.step(theta, carry, t), None)
    return inner.read(jax.lax.scan(step, inner.init(theta), jnp.arange(N))[0])


def judged(here, params):
    return losses(params, here["trusted"]).mean()


START = jnp.zeros(EXAMPLES)  # every weight is one half

# %% [markdown]
# ## 1. 1,000 derivatives in one pass
#
# How much does the trusted loss at the end change with the weight of one example? The
# bars are `hypergrad`: one reverse pass for all examples. Each dot is a central finite
# difference, which takes two training runs of its own.


# %%
@jax.jit
def gradient(theta, here):
    return hypergrad(
        lambda _, params: judged(here, params), training(here), theta, remat="sqrt"
    )[:2]


HERE = jax.jit(world)(jax.random.key(1))
_, by_jax = gradient(START, HERE)
WRONG_HERE = np.asarray(HERE["train"]["wrong"])

CHECKED = np.arange(24)
H = 1e-3
end_of = jax.jit(lambda theta: judged(HERE, trained(theta, HERE)))


def difference(i):
    nudge = jnp.zeros(EXAMPLES).at[i].set(H)
    return (end_of(START + nudge) - end_of(START - nudge)) / (2 * H)


by_differences = np.array([difference(i) for i in CHECKED])
off = np.abs(by_jax[CHECKED] - by_differences).max() / np.abs(by_jax).max()
print(f"largest distance, relative to the largest slope: {off:.1e}")

figure, axes = plt.subplots(figsize=(8, 3.4))
for wrong, color, name in ((False, BLUE, "right"), (True, RED, "wrong")):
    i = CHECKED[WRONG_HERE[CHECKED] == wrong]
    axes.bar(i, by_jax[i], color=color, label=f"hypergrad, label is {name}")
axes.plot(CHECKED, by_differences, "o", color="black", ms=4, label="finite differences")
axes.axhline(0, color="black", lw=0.8)
axes.set(
    xlabel="training example", ylabel="change of the trusted loss\nwith its weight"
)
axes.set(title="Above zero: this example does harm")
axes.grid(axis="x", visible=False)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ## 2. The learned weights
#
# Adam on `theta`. Every step of it has a training run of its own, with other first
# weights and other batches, so that the weights are made for this set and not for one
# run. All of it in several draws of the set at once, by `vmap`. Nothing looks at which
# labels are wrong; only the figures do.


# %%
@functools.partial(jax.jit, static_argnums=1)
def learn(worlds, steps):
    tx = optax.adam(0.1)

    def one(here):
        def step(carry, key):
            theta, memory = carry
            value, slope = gradient(theta, here | drawn(key))
            updates, memory = tx.update(slope, memory)
            return (optax.apply_updates(theta, updates), memory), value

        keys = jax.random.split(jax.random.key(3), steps)
        (theta, _), values = jax.lax.scan(step, (START, tx.init(START)), keys)
        return theta, values

    return jax.vmap(one)(worlds)


def worlds(farthest):
    keys = jax.random.split(jax.random.key(2), SEEDS)
    return jax.jit(jax.vmap(functools.partial(world, farthest=farthest)))(keys)


WORLDS = worlds(1)
LEARNED, VALUES = learn(WORLDS, OUTER)
print(
    f"trusted loss: {VALUES[:, 0].mean():.3f} before, {VALUES[:, -1].mean():.3f} after"
)

WEIGHTS = np.asarray(jax.nn.sigmoid(LEARNED))
WRONGS = np.asarray(WORLDS["train"]["wrong"])


# %% [markdown]
# The usual cheap rule stands beside it: after training on all examples alike, an
# example with a large loss is suspect.


# %%
def suspicion(here, theta):
    """How suspect each example is, by the weights and by the rule."""
    alike = jax.vmap(lambda h: losses(trained(START, h), h["train"]))
    return {
        "learned weight": np.asarray(-theta),
        "loss after plain training": np.asarray(jax.jit(alike)(here)),
    }


def areas(here, scores):
    """Area under the curve of each draw: 1 finds all first, 0.5 guesses."""
    wrong = np.asarray(here["train"]["wrong"])
    return np.array([roc_auc_score(w, s) for w, s in zip(wrong, scores, strict=True)])


def between(values):
    """Mean over the draws, and its 95 % interval by the bootstrap."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
    return np.mean(values), low, high


COLORS = {"learned weight": BLUE, "loss after plain training": GREY}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8))
edges = np.linspace(0, 1, 31)
left.hist(WEIGHTS[~WRONGS], edges, color=BLUE, alpha=0.7, label="label is right")
left.hist(WEIGHTS[WRONGS], edges, color=RED, alpha=0.7, label="label is wrong")
left.set(xlabel="learned weight", ylabel="examples, all draws")
left.set(title="What the trusted examples say of each label")
left.legend(loc="upper center")
for name, scores in suspicion(WORLDS, LEARNED).items():
    mean = areas(WORLDS, scores).mean()
    for i, (w, s) in enumerate(zip(WRONGS, scores, strict=True)):
        label = f"{name}, area {mean:.2f}" if i == 0 else None
        right.plot(*roc_curve(w, s)[:2], color=COLORS[name], lw=1, label=label)
right.plot([0, 1], [0, 1], "--", color="black", lw=0.8)
right.set(xlabel="right labels suspected", ylabel="wrong labels found")
right.set(title=f"Finding the wrong ones ({SEEDS} draws)")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# The twelve examples of the first draw with the smallest weights: above each, the label
# that it was given, and in brackets the one that it should have. Red: the label is
# wrong indeed.

# %%
first = jax.tree.map(lambda x: np.asarray(x[0]), WORLDS["train"])
figure, places = plt.subplots(1, 12, figsize=(11, 1.5))
for i, axes in zip(np.argsort(WEIGHTS[0]), places, strict=False):
    axes.imshow(first["x"][i].reshape(8, 8), cmap="gray_r")
    color = RED if first["wrong"][i] else BLUE
    title = f"{first['y'][i]} ({first['true'][i]})"
    axes.set_title(title, color=color, fontsize=10)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## 3. What it is worth
#
# Networks that start alike and see the same batches, on examples that nothing above has
# seen. One rival is easily forgotten: the trusted examples could simply have been
# *trained on*. On the right, the same where a wrong label is any of the nine others.


# %%
def only_trusted(theta, here):
    picks = here["batches"] % TRUSTED
    return trained(START, here | {"train": here["trusted"], "batches": picks})


MANY = 30.0  # the sigmoid is one, and of its negative zero
NETWORKS = {
    "all,\nalike": lambda theta, here: trained(START, here),
    "only the\ntrusted": only_trusted,
    "learned\nweights": trained,
    "only right\n(cheating)": lambda theta, here: trained(
        jnp.where(here["train"]["wrong"], -MANY, MANY), here
    ),
}
KINDS = {"the next digit": (WORLDS, LEARNED)}
if not SMALL:
    KINDS["any other digit"] = (worlds(9), learn(worlds(9), OUTER)[0])
figure, both = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
for (kind, (here, theta)), axes in zip(KINDS.items(), both, strict=False):
    print(f"a wrong label is {kind}:")
    for name, scores in suspicion(here, theta).items():
        mean, low, high = between(areas(here, scores))
        print(f"    {name}: area {mean:.3f} ({low:.3f} to {high:.3f})")
    for i, (name, network) in enumerate(NETWORKS.items()):
        share = jax.vmap(lambda t, h, f=network: accuracy(f(t, h), h["test"]))
        found = 100 * np.asarray(jax.jit(share)(theta, here))
        mean, low, high = between(found)
        axes.bar(i, mean, color=(GREY, "#edae49", BLUE, GREEN)[i], width=0.6)
        axes.errorbar(i, mean, [[mean - low], [high - mean]], color="black", capsize=4)
        axes.plot(np.full(SEEDS, i + 0.2), found, ".", color="black", ms=4)
        plain_name = name.replace("\n", " ")
        print(f"    {plain_name:21} {mean:.1f} % ({low:.1f} to {high:.1f})")
    axes.set_xticks(range(len(NETWORKS)), NETWORKS)
    axes.set(title=f"A wrong label is {kind}", ylim=(None if SMALL else 55, 100))
    axes.grid(axis="x", visible=False)
both[0].set(ylabel="right answers in the test, %")
plt.show()

# %% [markdown]
# Systematic mistakes are what the gradient is good for: plain training learns them, so
# that their loss is small and the cheap rule nearly blind, while the learned weights
# find nine of ten of them, with one right label in ten beside, and repair most of the
# damage. The trusted examples alone repair much already: the weights add two to four
# points to training on them only.
#
# Where a wrong label is any other digit, mistakes do not agree with one another. Then
# plain training hardly learns them, the loss rule finds them better than the gradient
# does, for the price of one run, and there is less to repair.
