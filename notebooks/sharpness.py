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
# # Sharpness: what SAM changes, measured
#
# Sharpness-aware minimization (SAM) takes the gradient at the worst point within a
# radius rho. Three questions on a small network and real digits:
#
# 1. Does the minimum that it reaches have a smaller largest eigenvalue of the Hessian?
# 2. How does the loss look around the two minima, along the sharpest direction?
# 3. What does the ascent itself see: the loss at the worst point, along the run?
#
# Bars are Student's 95 % intervals over seeds, bands the range over them. Run it with
# `SMALL=1` in the environment for a quick look with two seeds and few steps.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy import stats
from sklearn.datasets import load_digits

import jaxopt_lab
from jaxopt_lab import curvature

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, STEPS = (2, 60) if SMALL else (5, 600)
RHOS = (0.0, 0.05, 0.2)

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
COLORS = ("#1f5fa8", "#2a9d6f", "#d1495b")

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
x = jnp.asarray(images[order], jnp.float32) / 16
y = jnp.asarray(labels[order])
train, test = {"x": x[:512], "y": y[:512]}, {"x": x[512:], "y": y[512:]}


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 32)) / 8,
        "head": jax.random.normal(second, (32, 10)) / 6,
    }


def logits(params, x):
    return jnp.tanh(x @ params["hidden"]) @ params["head"]


def loss_fn(params, batch):
    value = logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(value, batch["y"]).mean()


# %% [markdown]
# ## Training
#
# One program trains all radii and all seeds: `rho` may be a traced number, and rho = 0
# is plain gradient descent with momentum, exactly.


# %%
def run(rho, key):
    tx = optax.chain(jaxopt_lab.sam(rho), optax.sgd(0.2, momentum=0.9))
    params = init(key)

    def step(carry, _):
        params, state = carry
        grad_fn = jaxopt_lab.batch_grad(loss_fn, train)
        (loss, _), grads = grad_fn.value_and_grad(params)
        worst = curvature.ascent_sharpness(loss_fn, params, [train], 0.05)
        updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
        return (optax.apply_updates(params, updates), state), (loss, worst)

    (params, _), records = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    return params, records


keys = jax.random.split(jax.random.key(0), SEEDS)
over_seeds = jax.vmap(run, in_axes=(None, 0))
everything = jax.jit(jax.vmap(over_seeds, in_axes=(0, None)))
params, (losses, ascents) = everything(jnp.array(RHOS), keys)


def interval(values):
    """Mean over seeds and half the width of Student's 95 % interval."""
    values = np.asarray(values)
    spread = values.std(0, ddof=1) / np.sqrt(len(values))
    return values.mean(0), stats.t.ppf(0.975, len(values) - 1) * spread


# %% [markdown]
# ## The largest eigenvalue of the Hessian, and accuracy


# %%
def largest(params):
    operator = curvature.hessian(loss_fn, params, [train])
    found = curvature.top_eigenvalues(operator, jax.random.key(1), 1, traced=True)
    return found.values[0]


def accuracy(params):
    return jnp.mean(jnp.argmax(logits(params, test["x"]), 1) == test["y"])


eigenvalues = jax.jit(jax.vmap(jax.vmap(largest)))(params)
accuracies = jax.vmap(jax.vmap(accuracy))(params)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
for axis, values, title in (
    (axes[0], eigenvalues, "largest eigenvalue of the training loss"),
    (axes[1], 100 * accuracies, "test accuracy, %"),
):
    for i in range(len(RHOS)):
        mean, half = interval(values[i])
        axis.errorbar(i, mean, half, fmt="o", color=COLORS[i], capsize=4)
        axis.plot(np.full(SEEDS, i) + 0.12, values[i], ".", color=COLORS[i], alpha=0.5)
    axis.set_xticks(range(len(RHOS)), [f"rho = {rho:g}" for rho in RHOS])
    axis.set_title(title)
plt.show()

for i, rho in enumerate(RHOS):
    top, score = interval(eigenvalues[i]), interval(100 * accuracies[i])
    print(
        f"rho {rho:<5g} eigenvalue {top[0]:7.3f} ± {top[1]:.3f}   "
        f"accuracy {score[0]:.2f} ± {score[1]:.2f} %"
    )

# %% [markdown]
# The differences are paired: each seed trains all radii from the same weights.

# %%
for i, rho in enumerate(RHOS[1:], 1):
    top = interval(eigenvalues[i] - eigenvalues[0])
    score = interval(100 * (accuracies[i] - accuracies[0]))
    print(
        f"rho {rho:g} less rho 0: eigenvalue {top[0]:+.3f} ± {top[1]:.3f}, "
        f"accuracy {score[0]:+.2f} ± {score[1]:.2f} points"
    )

# %% [markdown]
# ## The loss around the minimum
#
# Along the eigenvector of the largest eigenvalue, scaled to length 1, on the training
# set. The curve of a flat minimum is wide.

# %%
steps = np.linspace(-1.5, 1.5, 41)
figure, axis = plt.subplots(figsize=(5.5, 3.4))
for i, rho in enumerate(RHOS):
    point = jax.tree.map(lambda leaf, i=i: leaf[i, 0], params)
    operator = curvature.hessian(loss_fn, point, [train])
    found = curvature.top_eigenvalues(operator, jax.random.key(1), 1)
    direction = jax.tree.map(lambda leaf: leaf[0], found.vectors)
    line = curvature.line(loss_fn, point, direction, [train], steps=steps)
    axis.plot(line.steps, line.losses, color=COLORS[i], label=f"rho = {rho:g}")
axis.set_xlabel("distance along the sharpest direction")
axis.set_ylabel("training loss, nats")
axis.set_ylim(0, None)
axis.legend()
plt.show()

# %% [markdown]
# ## The loss at the worst point, along the run
#
# How much larger the loss is at the end of an ascent of length 0.05, for every run the
# same length: to first order 0.05 times the norm of the gradient.

# %%
figure, axis = plt.subplots(figsize=(5.5, 3.4))
for i, rho in enumerate(RHOS):
    rise = np.asarray(ascents[i])
    axis.plot(rise.mean(0), color=COLORS[i], label=f"rho = {rho:g}")
    axis.fill_between(
        range(STEPS), rise.min(0), rise.max(0), color=COLORS[i], alpha=0.2, lw=0
    )
axis.set_yscale("log")
axis.set_xlabel("step")
axis.set_ylabel("rise of the loss within 0.05, nats")
axis.legend()
plt.show()
