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
# # Chain your own optimizer
#
# Everything here is an optax transformation, so that optimizers are put together from
# parts. This notebook does it four times: an order of parts, a schedule and a map of
# two hyper-parameters in one compiled program, a part of one's own that evaluates
# gradients at other parameters, and different parts for different parameters.
#
# Bands are the range over seeds. Run it with `SMALL=1` in the environment for a quick
# look with two seeds and few steps.

# %%
import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxopt_lab

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, STEPS, GRID = (2, 20, 3) if SMALL else (5, 200, 7)

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

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
x = jnp.asarray(images[order], jnp.float32) / 16
y = jnp.asarray(labels[order])
train, test = {"x": x[:1024], "y": y[:1024]}, {"x": x[1024:], "y": y[1024:]}


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 32)) / 8,
        "head": jax.random.normal(second, (32, 10)) / 6,
    }


def logits(params, x):
    return jax.nn.relu(x @ params["hidden"]) @ params["head"]


def loss_fn(params, batch):
    value = logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(value, batch["y"]).mean()


def accuracy(params):
    return jnp.mean(jnp.argmax(logits(params, test["x"]), 1) == test["y"])


# %% [markdown]
# ## The loop
#
# It is the same for every optimizer. `grad_fn` gives the gradient at other parameters
# on the same batch; a transformation that does not need it ignores it.


# %%
def fit(tx, key):
    first, key = jax.random.split(key)
    params = init(first)

    def step(carry, key):
        params, state = carry
        rows = jax.random.randint(key, (128,), 0, len(train["y"]))
        batch = jax.tree.map(lambda leaf: leaf[rows], train)
        grad_fn = jaxopt_lab.batch_grad(loss_fn, batch)
        (loss, _), grads = grad_fn.value_and_grad(params)
        updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
        size = optax.global_norm(updates)
        return (optax.apply_updates(params, updates), state), (loss, size)

    carry = params, tx.init(params)
    (params, _), records = jax.lax.scan(step, carry, jax.random.split(key, STEPS))
    return accuracy(params), records


keys = jax.random.split(jax.random.key(0), SEEDS)


# %% [markdown]
# ## The order of the parts
#
# A *link* such as `sam` replaces the gradient and stands first: what follows sees the
# gradient at the worst point nearby. Clipping behind it bounds the gradient that the
# optimizer gets, whose size is then at most the learning rate times the bound.

# %%
CLIP, RATE = 0.3, 0.3
CHAINS = {
    "sgd": (0.0, np.inf),
    "clip, sgd": (0.0, CLIP),
    "sam, sgd": (0.1, np.inf),
    "sam, clip, sgd": (0.1, CLIP),
}


def chained(rho, clip, key):
    sam, clipping = jaxopt_lab.sam(rho=rho), optax.clip_by_global_norm(clip)
    return fit(optax.chain(sam, clipping, optax.sgd(RATE)), key)


# With rho = 0 a link is the identity, and so is clipping at infinity: the four chains
# are settings of one program.
over_chains = jax.vmap(jax.vmap(chained, (None, None, 0)), (0, 0, None))
scores, (losses, sizes) = jax.jit(over_chains)(*jnp.array([*CHAINS.values()]).T, keys)


def bands(axis, values, color, label):
    """Mean over seeds, and their range, of means over a twentieth of the steps."""
    width = max(1, STEPS // 20)
    values = np.asarray(values)[:, : STEPS // width * width]
    values = values.reshape(SEEDS, -1, width).mean(2)
    at = (np.arange(values.shape[1]) + 0.5) * width
    axis.plot(at, values.mean(0), color=color, label=label)
    axis.fill_between(at, values.min(0), values.max(0), color=color, alpha=0.2, lw=0)


figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for i, name in enumerate(CHAINS):
    bands(axes[0], losses[i], COLORS[i], name)
    bands(axes[1], sizes[i], COLORS[i], name)
axes[1].axhline(CLIP * RATE, color="0.6", lw=1)
axes[0].set_ylabel("training loss, nats")
axes[1].set_ylabel("norm of the update")
for axis in axes:
    axis.set_xlabel("step")
    axis.set_yscale("log")
axes[0].legend()
plt.show()

for name, score in zip(CHAINS, 100 * np.asarray(scores), strict=True):
    print(
        f"{name:16s} test accuracy {score.mean():.2f} % "
        f"({score.min():.2f} to {score.max():.2f})"
    )

# %% [markdown]
# The grey line is the bound, learning rate times clipping norm. A part in front of a
# link would change only the direction of the ascent; the library's train step warns of
# it.
#
# ## A map of two hyper-parameters in one program
#
# Every hyper-parameter may be a traced number or a schedule. So the settings of a map
# are an axis of `vmap`, with the seeds beside it: one compilation, no loop in Python.

# %%
rhos = jnp.linspace(0.0, 0.3, GRID)
rates = jnp.geomspace(0.03, 1.0, GRID)


def setting(rho, rate, key):
    growing = lambda count: rho * jnp.minimum(count / (STEPS / 4), 1.0)
    return fit(optax.chain(jaxopt_lab.sam(rho=growing), optax.sgd(rate)), key)[0]


over_keys = jax.vmap(setting, (None, None, 0))
over_rates = jax.vmap(over_keys, (None, 0, None))
scores = jax.jit(jax.vmap(over_rates, (0, None, None)))(rhos, rates, keys)
mean = 100 * np.asarray(scores.mean(2))

figure, axis = plt.subplots(figsize=(5.5, 3.8))
drawn = axis.imshow(mean, origin="lower", aspect="auto", cmap="viridis")
axis.set_xticks(range(GRID), [f"{float(rate):.2g}" for rate in rates])
axis.set_yticks(range(GRID), [f"{float(rho):.2g}" for rho in rhos])
axis.set_xlabel("learning rate")
axis.set_ylabel("rho at the end of its warm-up")
axis.grid(False)
figure.colorbar(drawn, label="test accuracy, %, mean over seeds")
plt.show()

# %% [markdown]
# The highest cell lies at the edge of this map, which says that a wider one is needed.
# And it is chosen on the data that it is scored on; to report a number, choose on other
# data (`python -m experiments.tune` holds a part aside).
#
# ## A link of one's own
#
# A link takes `grad_fn` from the extra arguments of `update`. This one averages the
# gradient over draws around the parameters, the gradient of a loss that is smoothed by
# noise of deviation `std` (fifteen lines, a key in its state):


# %%
class SmoothedState(NamedTuple):
    """The key of the next draws."""

    key: jax.Array


def smoothed(std, draws=2, seed=0):
    def init(params):
        return SmoothedState(jax.random.key(seed))

    def update(updates, state, params, *, grad_fn, **extra):
        key, *each = jax.random.split(state.key, draws + 1)

        def at(key):
            noise = optax.tree.random_like(key, params)
            return grad_fn(jax.tree.map(lambda p, n: p + std * n, params, noise))

        grads = [at(key) for key in each]
        return jax.tree.map(lambda *g: sum(g) / draws, *grads), SmoothedState(key)

    return optax.GradientTransformationExtraArgs(init, update)


def smooth(std, key):
    return fit(optax.chain(smoothed(std), optax.sgd(RATE)), key)


over_both = jax.vmap(jax.vmap(smooth, (None, 0)), (0, None))
own, (own_losses, _) = jax.jit(over_both)(jnp.array([0.0, 0.05]), keys)
print(f"without noise it is plain: {np.allclose(own_losses[0], losses[0], rtol=1e-3)}")
print(f"test accuracy with noise {100 * own[1].mean():.2f} %")

# %% [markdown]
# `jaxopt_lab.training.make_train_step` gives it `grad_fn`, too, and so do the
# [loops](../docs/loops.md) in flax nnx, linen and equinox.
#
# ## Different parts for different parameters
#
# `partition` and `masked` of the library are optax's for links. Here the head has Adam,
# the hidden layer momentum, and only the hidden layer moves in the ascent.

# %%
params = init(jax.random.key(1))
hidden = {"hidden": True, "head": False}
tx = optax.chain(
    jaxopt_lab.sam(rho=0.1, perturb_mask=hidden),
    jaxopt_lab.partition(
        {
            "momentum": optax.sgd(0.1, momentum=0.9),
            "adam": optax.adam(1e-2),
        },
        {"hidden": "momentum", "head": "adam"},
    ),
)
sizes = {}
for path, leaf in jax.tree_util.tree_leaves_with_path(tx.init(params)):
    name = "head" if "head" in jax.tree_util.keystr(path) else "hidden"
    name = name if leaf.size > 1 else "counts"
    sizes[name] = sizes.get(name, 0) + leaf.nbytes
scores, _ = jax.jit(jax.vmap(lambda key: fit(tx, key)))(keys)
print("state:", ", ".join(f"{name} {size} bytes" for name, size in sizes.items()))
print(f"parameters: hidden {params['hidden'].nbytes}, head {params['head'].nbytes}")
print(f"test accuracy {100 * scores.mean():.2f} %")

# %% [markdown]
# All parts, with what each costs: [transformations](../docs/transforms.md).
