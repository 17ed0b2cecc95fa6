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
# # Curvature along a training
#
# The Hessian of a loss is never formed; products with it are enough for its largest
# eigenvalues, its trace and its density. On a network that is small enough to form it
# after all, this notebook checks the estimates and follows a training with them:
#
# 1. Density and trace, with their errors, against the exact eigenvalues.
# 2. Does the largest eigenvalue rise to the edge of stability of gradient descent?
# 3. How much noise is in the gradient of a batch, and where does the loss go around the
#    last point?
#
# Bands are the range over seeds, or one standard error where it is said. Run it with
# `SMALL=1` in the environment for a quick look.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.flatten_util import ravel_pytree
from sklearn.datasets import load_digits

from jaxopt_lab import curvature

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, POINTS, BETWEEN, PROBES = (2, 4, 5, 4) if SMALL else (3, 40, 20, 64)
RATES = (0.1, 0.2)

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
COLORS = ("#1f5fa8", "#d1495b", "#2a9d6f")

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))[:256]
x = jnp.asarray(images[order], jnp.float32) / 8 - 1
y = jax.nn.one_hot(labels[order], 10)
batch = {"x": x, "y": y}
WIDTH = 6 if SMALL else 12


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, WIDTH)) / 8,
        "head": jax.random.normal(second, (WIDTH, 10)) / WIDTH**0.5,
    }


def loss_fn(params, batch):
    outputs = jnp.tanh(batch["x"] @ params["hidden"]) @ params["head"]
    return 0.5 * jnp.mean(jnp.sum((outputs - batch["y"]) ** 2, axis=1))


# %% [markdown]
# ## Training, and the largest eigenvalue along it
#
# Full-batch gradient descent with two learning rates from the same starts. Every few
# steps 20 products with the Hessian give its largest eigenvalue by Lanczos; with
# `traced=True` they are part of one compiled program, here of all rates and seeds.


# %%
def largest(params):
    operator = curvature.hessian(loss_fn, params, [batch])
    key = jax.random.key(1)
    found = curvature.top_eigenvalues(operator, key, 1, num_steps=20, traced=True)
    return found.values[0], found.residuals[0]


def run(rate, key):
    def step(params, _):
        grads = jax.grad(loss_fn)(params, batch)
        return jax.tree.map(lambda p, g: p - rate * g, params, grads), None

    def point(params, _):
        record = loss_fn(params, batch), *largest(params)
        return jax.lax.scan(step, params, length=BETWEEN)[0], record

    return jax.lax.scan(point, init(key), length=POINTS)


keys = jax.random.split(jax.random.key(0), SEEDS)
runs = jax.vmap(jax.vmap(run, (None, 0)), (0, None))
last, (losses, tops, residuals) = jax.jit(runs)(jnp.array(RATES), keys)

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
steps = np.arange(POINTS) * BETWEEN
for i, rate in enumerate(RATES):
    for axis, values in ((axes[0], losses[i]), (axes[1], tops[i])):
        values = np.asarray(values)
        axis.plot(steps, values.mean(0), color=COLORS[i], label=f"rate {rate:g}")
        axis.fill_between(
            steps, values.min(0), values.max(0), color=COLORS[i], alpha=0.2, lw=0
        )
    axes[1].axhline(2 / rate, color=COLORS[i], lw=1, ls="--")
axes[0].set_yscale("log")
axes[0].set_ylabel("training loss")
axes[1].set_ylabel("largest eigenvalue of the Hessian")
for axis in axes:
    axis.set_xlabel("step")
axes[0].legend()
plt.show()

print(f"largest residual of an eigenvalue, relative: {(residuals / tops).max():.1e}")
for i, rate in enumerate(RATES):
    ratio = np.asarray(tops[i, :, -(POINTS // 4) :]).mean(1) * rate / 2
    print(
        f"rate {rate:g}: eigenvalue over 2 / rate, last quarter: {ratio.mean():.2f} "
        f"({ratio.min():.2f} to {ratio.max():.2f})"
    )

# %% [markdown]
# Dashed lines are 2 / rate, above which gradient descent leaves a quadratic. The larger
# rate comes down to its line and stays there; with the smaller one the eigenvalue still
# rises in most runs. The same
# in a run of the lab: `python -m experiments.train ... curvature=top`; with ten seeds,
# more rates, momentum and Adam: [the claims](../docs/claims.md#edge_of_stability).
#
# ## Density against the exact eigenvalues
#
# At the last point of one run. `spectral_density` takes Lanczos from random vectors;
# the exact eigenvalues come from the whole matrix, which is possible here alone.

# %%
params = jax.tree.map(lambda leaf: leaf[0, 0], last)
flat, unravel = ravel_pytree(params)
matrix = jax.jit(jax.hessian(lambda w: loss_fn(unravel(w), batch)))(flat)
exact = np.linalg.eigvalsh(np.asarray(matrix, np.float64))
operator = curvature.hessian(loss_fn, params, [batch])
density = curvature.spectral_density(
    operator, jax.random.key(2), num_steps=30, num_probes=4, traced=True
)

figure, axis = plt.subplots(figsize=(6, 3.4))
width = np.sqrt(density.sigma2)
true = np.exp(-0.5 * ((density.grid[:, None] - exact) / width) ** 2).mean(1)
true /= width * np.sqrt(2 * np.pi)
axis.plot(density.grid, true, color="0.4", lw=1, label="exact, as broad")
axis.plot(
    density.grid, density.density, color=COLORS[0], label="4 probes of 30 products"
)
low = np.maximum(density.density - density.standard_error, 1e-12)
axis.fill_between(
    density.grid,
    low,
    density.density + density.standard_error,
    color=COLORS[0],
    alpha=0.25,
    lw=0,
)
axis.set_yscale("log")
axis.set_ylim(1e-5, None)
axis.set_xlabel("eigenvalue")
axis.set_ylabel("density")
axis.legend()
plt.show()
print(f"{len(exact)} eigenvalues, {np.sum(exact > 0.1 * exact[-1])} above a tenth of")
print(f"the largest: {exact[-1]:.3f} exact, {density.upper[0]:.3f} by Lanczos")

# %% [markdown]
# The band is one standard error over the probes. Most eigenvalues are near 0, and a few
# carry the curvature.
#
# ## The trace, and its error
#
# Hutchinson's estimate is a mean over random signs; its standard error comes with it.

# %%
found = curvature.hutchinson_trace(operator, jax.random.key(3), num_probes=PROBES)
samples = np.asarray(found.samples)
counts = np.arange(2, PROBES + 1)
means = np.array([samples[:n].mean() for n in counts])
errors = np.array([samples[:n].std(ddof=1) / np.sqrt(n) for n in counts])

figure, axis = plt.subplots(figsize=(5.5, 3.2))
axis.plot(counts, means, color=COLORS[0], label="mean, and its standard error")
axis.fill_between(counts, means - errors, means + errors, color=COLORS[0], alpha=0.25)
axis.axhline(exact.sum(), color="0.4", lw=1, label="exact")
axis.set_xlabel("probes (products with the Hessian)")
axis.set_ylabel("trace")
axis.legend()
plt.show()
print(
    f"exact {exact.sum():.2f}; estimate {found.value:.2f} ± {found.standard_error:.2f}"
)

# %% [markdown]
# ## Noise of a batch, and the loss around the point
#
# The simple noise scale is the batch size at which the noise of the gradient is as
# large as the gradient. It grows as the gradient falls; at the end of a training the
# estimate of the squared norm, which has no bias, is not above 0 by its error. The
# plane is spanned by the two top eigenvectors; the scales of its axes are distances.

# %%
start = init(keys[0])
for name, point in (("start", start), ("end", params)):
    noise = curvature.example_noise_scale(loss_fn, point, [batch])
    squared = f"{noise.squared_norm:.1e} ± {noise.squared_norm_error:.1e}"
    print(f"{name}: squared norm of the gradient {squared}, noise scale ", end="")
    if noise.squared_norm > 2 * noise.squared_norm_error:
        print(f"{noise.value:.1f} ± {noise.standard_error:.1f} examples")
    else:
        print("larger than this set of examples can tell")

two = curvature.top_eigenvalues(operator, jax.random.key(1), 2, traced=True)
first, second = (jax.tree.map(lambda leaf, i=i: leaf[i], two.vectors) for i in range(2))
ticks = np.linspace(-1, 1, 5 if SMALL else 31)
surface = curvature.plane(
    loss_fn, params, first, second, [batch], first_steps=ticks, second_steps=ticks
)
figure, axis = plt.subplots(figsize=(4.8, 4))
levels = np.geomspace(surface.losses.min(), surface.losses.max(), 15)
drawn = axis.contour(
    surface.first, surface.second, surface.losses.T, levels, cmap="viridis"
)
axis.clabel(drawn, fontsize=7, fmt="%.3f")
axis.plot(0, 0, "+", color=COLORS[1])
axis.set_xlabel("along the first eigenvector")
axis.set_ylabel("along the second eigenvector")
axis.set_xticks(np.linspace(-1, 1, 5))
axis.set_aspect("equal")
plt.show()

# %% [markdown]
# All quantities, with formulas and costs: [curvature and
# diagnostics](../docs/diagnostics.md).
