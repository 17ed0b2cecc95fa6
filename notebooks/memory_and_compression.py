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
# # Optimizer memory: what is kept, and what it costs
#
# Adam keeps two numbers for every parameter, 8 bytes. This notebook counts what the
# methods of the library keep instead, trains the same network with each, and looks into
# the codes: which numbers are lost, and where that matters.
#
# Bands are the range over seeds. Run it with `SMALL=1` in the environment for a quick
# look with fewer steps.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxopt_lab
from jaxopt_lab.core.codecs import Dynamic8, Linear

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, STEPS = (2, 30) if SMALL else (3, 300)

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

images, labels = load_digits(return_X_y=True)
x = jnp.asarray(images[:1024], jnp.float32) / 16
y = jnp.asarray(labels[:1024])
WIDTH = 128


def init(key):
    keys = jax.random.split(key, 3)
    sizes = (64, WIDTH, WIDTH, 10)
    return [
        jax.random.normal(k, (a, b)) * np.sqrt(2 / a)
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def loss_fn(params, batch):
    h = batch["x"]
    for kernel in params[:-1]:
        h = jax.nn.relu(h @ kernel)
    value = h @ params[-1]
    return optax.softmax_cross_entropy_with_integer_labels(value, batch["y"]).mean()


METHODS = {
    "adamw": optax.adamw(1e-3),
    "adam_mini": jaxopt_lab.adam_mini(1e-3),
    "adamw8bit": jaxopt_lab.adamw8bit(1e-3, min_size=1),
    "adamw4bit": jaxopt_lab.adamw4bit(1e-3, min_size=1),
    "apollo, rank 4": jaxopt_lab.apollo(1e-2, rank=4),
    "ldadam, rank 4": jaxopt_lab.ldadam(1e-3, rank=4, error="none"),
    "microadam": jaxopt_lab.microadam(1e-3, density=0.1, window=4),
}
COLORS = dict(
    zip(METHODS, plt.cm.viridis(np.linspace(0, 0.9, len(METHODS))), strict=True)
)

# %% [markdown]
# ## Bytes
#
# `jax.eval_shape` makes the state without allocating it, so that this works for
# networks that do not fit on this machine.


# %%
def nbytes(tree):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


shapes = jax.eval_shape(init, jax.random.key(0))
count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
per_parameter = {
    name: nbytes(jax.eval_shape(tx.init, shapes)) / count
    for name, tx in METHODS.items()
}
for name, value in per_parameter.items():
    print(f"{name:16s} {value:5.2f} bytes a parameter")

# %% [markdown]
# ## The same network with each
#
# Learning rates are not tuned: those of Adam, ten times that for `apollo`, which scales
# the gradient by channel. So the curves show that the methods train, and no ranking.


# %%
def run(tx, key):
    params = init(key)

    def step(carry, key):
        params, state = carry
        rows = jax.random.choice(key, len(x), (64,), replace=False)
        loss, grads = jax.value_and_grad(loss_fn)(params, {"x": x[rows], "y": y[rows]})
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    carry = params, tx.init(params)
    (params, state), losses = jax.lax.scan(step, carry, jax.random.split(key, STEPS))
    return losses, state


curves, states = {}, {}
for name, tx in METHODS.items():
    train = jax.jit(jax.vmap(lambda key, tx=tx: run(tx, key)))
    losses, states[name] = train(jax.random.split(jax.random.key(0), SEEDS))
    curves[name] = np.asarray(losses)

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for name, losses in curves.items():
    width = max(1, STEPS // 30)
    smooth = losses[:, : STEPS // width * width].reshape(SEEDS, -1, width).mean(2)
    at = (np.arange(smooth.shape[1]) + 0.5) * width
    axes[0].plot(at, smooth.mean(0), color=COLORS[name], label=name)
    axes[0].fill_between(
        at, smooth.min(0), smooth.max(0), color=COLORS[name], alpha=0.2, lw=0
    )
axes[0].set_yscale("log")
axes[0].set_xlabel("step")
axes[0].set_ylabel("training loss, nats")
axes[0].legend(fontsize=8, loc="lower left")
axes[1].barh(list(per_parameter), list(per_parameter.values()), color=COLORS.values())
axes[1].set_xlabel("state, bytes a parameter")
axes[1].invert_yaxis()
plt.show()

# %% [markdown]
# ## Inside of a code
#
# Eight bits with a scale for each block of 256 numbers are a floating-point format with
# 256 values. Second moments span many orders of magnitude, and what is smaller than the
# smallest code of its block would become zero, and the step that divides by its root
# would be unbounded: `adamw8bit` keeps such elements at the smallest code
# (`round_to_zero=True` is the official rounding).

# %%
values = jnp.asarray(np.exp(np.random.default_rng(0).uniform(-16, 0, 256)), jnp.float32)
figure, axis = plt.subplots(figsize=(5.5, 3.6))
for codec, marker in (
    (Dynamic8(block=256, signed=False), "."),
    (Linear(symmetric=False), "x"),
):
    coded = codec.decode(codec.encode(values), values.shape, values.dtype)
    axis.plot(values, coded, marker, ms=4, label=type(codec).__name__)
axis.plot(values, values, color="0.6", lw=0.5, zorder=0)
axis.set_xscale("log")
axis.set_yscale("symlog", linthresh=1e-7)
axis.set_ylim(-2e-8, 2)
axis.set_xlabel("second moment")
axis.set_ylabel("decoded")
axis.legend()
plt.show()

# %% [markdown]
# ## Before anything is trained
#
# The planner says the same for networks and devices that are not here:
#
# ```
# python -m experiments.plan model=llama-7b method=adamw8bit mesh=data:64,model:8
# ```
