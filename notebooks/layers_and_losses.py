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
# # Layers and losses
#
# A layer here is a pair of pure functions, `init(key)` and `apply(params, state, x, *,
# train, ...)`, and a loss gives one number for each example. Four looks at them:
#
# 1. How far off are batch statistics in small batches?
# 2. How does the variance grow along a residual network, and with which norms?
# 3. How many bytes does a layer keep for the backward pass?
# 4. What do losses do with wrong labels?
#
# Bands and bars are the range over seeds. Run it with `SMALL=1` in the environment for
# a quick look.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxopt_lab import catalog, layers, losses

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, STEPS, DEPTH = (2, 30, 4) if SMALL else (5, 400, 24)

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
COLORS = ("#1f5fa8", "#2a9d6f", "#d1495b", "#8a5fb0")
rng = np.random.default_rng(0)

# %% [markdown]
# ## Statistics of small batches
#
# Batch normalization divides by the deviation of the batch, an estimate: with n
# examples its relative error is about $1 / \sqrt{2 n}$, that of the mean $1 / \sqrt n$
# deviations. `ghost_batch_norm` takes the statistics of parts of a batch on purpose.
# Here one batch is normalized in parts of n examples, and compared with the batch as a
# whole.

# %%
BATCH, FEATURES = 1024, 16
whole = layers.ghost_batch_norm(FEATURES, ghost_size=BATCH)
params, state = whole.init(jax.random.key(0))
sizes = (16, 256) if SMALL else (4, 8, 16, 32, 64, 128, 256, 512)
error = np.zeros((SEEDS, len(sizes)))
for seed in range(SEEDS):
    x = jnp.asarray(rng.normal(size=(BATCH, FEATURES)), jnp.float32)
    expected, _ = whole.apply(params, state, x, train=True)
    for j, size in enumerate(sizes):
        ghost = layers.ghost_batch_norm(FEATURES, ghost_size=size)
        y, _ = ghost.apply(params, state, x, train=True)
        error[seed, j] = np.sqrt(np.mean((y - expected) ** 2))

figure, axis = plt.subplots(figsize=(5.5, 3.6))
spread = np.stack([error.mean(0) - error.min(0), error.max(0) - error.mean(0)])
axis.errorbar(sizes, error.mean(0), spread, fmt="o", color=COLORS[0], label="measured")
smooth = np.geomspace(sizes[0], sizes[-1], 50)
axis.plot(smooth, np.sqrt(1.5 / smooth), color="0.5", lw=1, label=r"$\sqrt{1.5 / n}$")
axis.set_xscale("log", base=2)
axis.set_yscale("log")
axis.set_xlabel("examples n of a part")
axis.set_ylabel("error of the output, deviations")
axis.legend()
plt.show()

# %% [markdown]
# The line adds both errors, $1 / n + 1 / 2 n$; large parts are nearer to the batch, for
# it contains them. It is noise that a large batch lacks: wanted as regularization,
# harmful where batches are small because memory is. Layers without statistics of the
# batch are marked in the catalog:

# %%
rows = catalog.of_kind("layer").values()
norms = [
    row for row in rows if "norm" in row.replaces and row.couples_examples is False
]
print(", ".join(row.name for row in norms))

# %% [markdown]
# ## Variance along a residual network
#
# In $x_{i+1} = x_i + c\, h_i(\mathrm{norm}(x_i))$ every module adds to the variance.
# With a plain norm and c = 1 it grows linearly, so that deep modules change less and
# less of the sum; dividing the norm of block l by $\sqrt l$ (LayerNorm scaling) slows
# it down, and $c = 1 / \sqrt{\text{depth}}$ bounds it.

# %%
WIDTH = 64


def deviations(norm, c, seed):
    draw = np.random.default_rng(seed)
    x = jnp.asarray(draw.normal(size=(64, WIDTH)), jnp.float32)
    found = [float(x.std())]
    for index in range(1, DEPTH + 1):
        layer = norm(index)
        kernel = jnp.asarray(draw.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5, jnp.float32)
        z, _ = layer.apply(*layer.init(), x, train=True)
        x = x + c * (z @ kernel)
        found.append(float(x.std()))
    return found


plain = layers.layer_norm(WIDTH)
scaled = lambda index: layers.layernorm_scaling(WIDTH, index=index)
NETWORKS = {
    "layer norm": (lambda index: plain, 1.0),
    "LayerNorm scaling": (scaled, 1.0),
    "layer norm, c = 1 / root of depth": (
        lambda index: plain,
        layers.residual_scale("1/sqrt_n", depth=DEPTH),
    ),
}
figure, axis = plt.subplots(figsize=(5.5, 3.6))
for (name, (norm, c)), color in zip(NETWORKS.items(), COLORS, strict=False):
    found = np.array([deviations(norm, c, seed) for seed in range(SEEDS)])
    axis.plot(found.mean(0), color=color, label=name)
    axis.fill_between(
        range(DEPTH + 1), found.min(0), found.max(0), color=color, alpha=0.2, lw=0
    )
axis.set_xlabel("block")
axis.set_ylabel("deviation of the residual stream")
axis.legend()
plt.show()

# %% [markdown]
# ## Bytes kept for the backward pass
#
# `jax.vjp` gives a function whose leaves are the arrays that it keeps. With
# `eval_shape` nothing is computed. Parameters are kept anyway, and are left out.


# %%
def kept(layer, x, key=None):
    params, state = jax.eval_shape(lambda: layer.init(jax.random.key(0)))

    def residuals(params, state, x, key):
        call = lambda p, x: layer.apply(p, state, x, train=True, key=key)[0]
        return jax.vjp(call, params, x)[1]

    leaves = jax.tree.leaves(jax.eval_shape(residuals, params, state, x, key))
    shapes = {(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(params)}
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in leaves
        if (leaf.shape, leaf.dtype) not in shapes
    )


example = jax.ShapeDtypeStruct((64, 128, 256), jnp.float32)
key = jax.eval_shape(lambda: jax.random.key(0))
LAYERS = {
    "layer_norm": layers.layer_norm(256),
    "mesa_layer_norm": layers.mesa_layer_norm(256),
    "gelu": None,
    "mesa_gelu": layers.mesa_gelu(256),
    "mesa_dense": layers.mesa_dense(256),
    "wta_crs_dense": layers.wta_crs_dense(256, ratio=0.3),
}
bytes_kept = {}
for name, layer in LAYERS.items():
    if layer is None:
        gelu = jax.eval_shape(lambda x: jax.vjp(jax.nn.gelu, x)[1], example)
        total = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(gelu))
    else:
        total = kept(layer, example, key)
    bytes_kept[name] = total / example.size
figure, axis = plt.subplots(figsize=(6, 2.8))
colors = [
    COLORS[0] if "mesa" not in n and "wta" not in n else COLORS[1] for n in LAYERS
]
axis.barh(list(bytes_kept), list(bytes_kept.values()), color=colors)
axis.invert_yaxis()
axis.axvline(4, color="0.5", lw=1)
axis.set_xlabel("bytes kept an element of the input, float32")
plt.show()

# %% [markdown]
# The line is the input itself. The compiler may still share or recompute some of what
# the program keeps. `jax.checkpoint` keeps less, and costs a second forward pass.
#
# ## Wrong labels
#
# A share of the training labels is drawn at random. Three losses train the same network
# from the same start: the cross-entropy, with smoothed labels, and with weights that
# the losses of the batch decide (`linupper`: low losses count less, all above the
# middle the same). All runs are settings of one compiled program.

# %%
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
x = jnp.asarray(images[order], jnp.float32) / 16
y = jnp.asarray(labels[order])
CUT = 1000
WRONG = jnp.array([0.0, 0.3])
LOSSES = ("cross-entropy", "smoothing 0.2", "reweighted")


def network(params, x):
    return jax.nn.relu(x @ params["hidden"]) @ params["head"]


def each_loss(kind, logits, labels):
    plain = losses.cross_entropy(logits, labels)
    smooth = losses.cross_entropy(logits, labels, 0.2)
    weighted = losses.reweighted_cross_entropy(logits, labels, strategy="linupper")
    return jnp.stack([plain.mean(), smooth.mean(), weighted.mean()])[kind]


def run(kind, share, key):
    keys = jax.random.split(key, 5)
    random = jax.random.randint(keys[0], (CUT,), 0, 10)
    given = jnp.where(jax.random.uniform(keys[1], (CUT,)) < share, random, y[:CUT])
    params = {
        "hidden": jax.random.normal(keys[2], (64, 64)) / 8,
        "head": jax.random.normal(keys[3], (64, 10)) / 8,
    }
    tx = optax.adam(3e-3)

    def step(carry, key):
        params, state = carry
        rows = jax.random.randint(key, (100,), 0, CUT)
        loss = lambda p: each_loss(kind, network(p, x[rows]), given[rows])
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        right = jnp.argmax(network(params, x[CUT:]), 1) == y[CUT:]
        return (params, state), right.mean()

    carry = params, tx.init(params)
    return jax.lax.scan(step, carry, jax.random.split(keys[4], STEPS))[1]


runs = jax.vmap(run, (None, None, 0))
runs = jax.vmap(jax.vmap(runs, (None, 0, None)), (0, None, None))
keys = jax.random.split(jax.random.key(0), SEEDS)
scores = 100 * np.asarray(jax.jit(runs)(jnp.arange(3), WRONG, keys))

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for j, axis in enumerate(axes):
    for i, name in enumerate(LOSSES):
        values = scores[i, j]
        axis.plot(values.mean(0), color=COLORS[i], label=name)
        axis.fill_between(
            range(STEPS), values.min(0), values.max(0), color=COLORS[i], alpha=0.2, lw=0
        )
    axis.set_title(f"{100 * WRONG[j]:.0f} % of the labels drawn at random")
    axis.set_xlabel("step")
axes[0].set_ylabel("test accuracy, %")
axes[0].set_ylim(80 if not SMALL else None, 100)
axes[0].legend()
plt.show()

for j, share in enumerate(WRONG):
    for i, name in enumerate(LOSSES):
        last = scores[i, j, :, -1]
        print(
            f"{100 * share:3.0f} % wrong, {name:14s} {last.mean():.2f} % "
            f"({last.min():.2f} to {last.max():.2f})"
        )

# %% [markdown]
# A loss that turns to hard examples turns to wrong labels as well: with clean labels
# such weights may help, with wrong ones they cannot. `recipes.make_co_teaching_step`
# does the opposite and leaves out the examples with the largest losses.
#
# All layers and losses, with formulas and costs: [layers](../docs/layers.md),
# [losses](../docs/losses.md).
