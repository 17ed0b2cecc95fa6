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
# # Signals through depth, and training for too long
#
# Two questions that a pencil can answer, each set against a simulation:
#
# 1. **How large may the weights be?** In a deep network a signal is multiplied by
#    random matrices, layer after layer. There is one weight variance at which it
#    neither dies out nor explodes.
# 2. **When should training stop?** A linear student that learns from noisy labels
#    gets better on new samples, then worse. How much worse depends on one number:
#    samples over weights.
#
# Lines are theory, dots are simulated, bars are four standard errors. Run it with
# `SMALL=1` in the environment for a quick look with fewer and smaller networks.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxopt_lab.diagnostics.theory.activations import critical_weight_variance
from jaxopt_lab.diagnostics.theory.depth_recursion import (
    correlations,
    finite_width,
    input_kernel,
    kernels_through_depth,
    susceptibilities,
    variances_through_depth,
)
from jaxopt_lab.diagnostics.theory.linear_student import (
    LinearTask,
    linear_student_errors,
    optimal_stopping_time,
    simulate_linear_student,
)
from jaxopt_lab.diagnostics.theory.marchenko_pastur import (
    marchenko_pastur,
    marchenko_pastur_density,
    marchenko_pastur_edges,
)
from jaxopt_lab.diagnostics.theory.wide_networks import simulate_kernels

SMALL = os.environ.get("SMALL", "") not in ("", "0")

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
COLORS = ("#1f5fa8", "#2a9d6f", "#d1495b")  # below, at and above the critical value


def mean_and_bar(draws):
    """Mean over the first axis, and four standard errors of it."""
    draws = np.asarray(draws)
    return draws.mean(0), 4 * draws.std(0, ddof=1) / np.sqrt(len(draws))


# %% [markdown]
# ## 1. A signal through depth
#
# Weights of variance $C_W/n$ (with $n$ inputs of the layer) and no biases. If the
# layer is wide, its pre-activations are Gaussian with a variance $K_l$, and
#
# $$K_{l+1} = C_W\, E\big[\phi(z)^2\big], \qquad z \sim N(0, K_l).$$
#
# For `relu` half of the square survives, so $K$ is multiplied by $C_W/2$ in every
# layer: 2 is critical. `tanh` is the identity for small signals, so 1 is critical; but
# it also saturates, hence even there the signal fades, as slowly as $1/(2l)$, and above
# 1 it settles at a finite size instead of exploding.

# %%
DEPTH = 6 if SMALL else 24
WIDTH, NETWORKS = (32, 10) if SMALL else (256, 64)
KEYS = iter(jax.random.split(jax.random.key(0), 64))
RELATIVE = (0.7, 1.0, 1.5)  # C_W over its critical value
LABELS = ("below critical", "critical", "above critical")

# Two inputs of equal size whose cosine is 0.5.
SIDE = 16
one = jnp.ones(SIDE)
other = jnp.where(jnp.arange(SIDE) < SIDE * 3 // 4, 1.0, -1.0)
INPUTS = jnp.stack([one, other])


def compare(name):
    """Theory and simulation for each weight variance: kernels, layer by layer."""

    @jax.jit  # c_w is an argument, so that one program serves all three
    def both(key, c_w):
        first = input_kernel(INPUTS, c_w=c_w)
        theory = kernels_through_depth(first, name, DEPTH, c_w=c_w)
        draws = simulate_kernels(
            key, INPUTS, name, DEPTH, width=WIDTH, networks=NETWORKS, c_w=c_w
        )
        return theory, draws

    critical = critical_weight_variance(name)
    return {relative: both(next(KEYS), relative * critical) for relative in RELATIVE}


RESULTS = {name: compare(name) for name in ("linear", "relu", "tanh")}

# %%
layers = np.arange(1, DEPTH + 1)
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharex=True)
for axes, name in zip(panels, ("linear", "relu", "tanh"), strict=True):
    for place, (relative, color) in enumerate(zip(RELATIVE, COLORS, strict=True)):
        theory, draws = RESULTS[name][relative]
        mean, bar = mean_and_bar(draws[:, :, 0, 0])
        c_w = relative * critical_weight_variance(name)
        axes.plot(layers, theory[:, 0, 0], color=color, label=f"$C_W$ = {c_w:g}")
        dots = slice(place, None, 3)  # every third layer, each color its own
        axes.errorbar(layers[dots], mean[dots], bar[dots], fmt="o", ms=4, color=color)
    axes.set(title=name, xlabel="layer", yscale="log")
    axes.legend()
panels[0].set_ylabel("variance of the pre-activations")
figure.suptitle("Only the critical weight variance carries a signal through depth")
plt.show()

# %% [markdown]
# The same networks see two inputs. What becomes of the correlation of their signals?
# A linear network keeps it. `relu` pulls all inputs together, whatever the weights.
# `tanh` keeps it while signals are small, and drives inputs apart above the critical
# value: there two nearly equal inputs end up unrelated (chaos).

# %%
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharex=True, sharey=True)
for axes, name in zip(panels, ("linear", "relu", "tanh"), strict=True):
    for place, (relative, color) in enumerate(zip(RELATIVE, COLORS, strict=True)):
        theory, draws = RESULTS[name][relative]
        mean, bar = mean_and_bar(correlations(draws)[:, :, 0, 1])
        line = correlations(theory)[:, 0, 1]
        axes.plot(layers, line, color=color, label=LABELS[place])
        dots = slice(place, None, 3)
        axes.errorbar(layers[dots], mean[dots], bar[dots], fmt="o", ms=4, color=color)
    axes.set(title=name, xlabel="layer", ylim=(0, 1.02))
panels[0].set_ylabel("correlation of two inputs")
panels[2].legend(loc="lower left")
figure.suptitle("What depth does to the difference of two inputs")
plt.show()

# %% [markdown]
# ### Networks of finite width
#
# One network is no ensemble: its mean square scatters around $K_l$, the more the deeper
# and the narrower it is. To first order in 1/width (lines) only depth/width counts, so
# that, but for the first layers, networks of all widths share one curve. It holds up to
# a ratio of about 0.1; beyond, the networks differ from each other by as much as their
# signal and more, and the first order falls short.

# %%
widths = (16, 64) if SMALL else (16, 64, 256)
many = 30 if SMALL else 400
figure, axes = plt.subplots(figsize=(6, 3.6))
for width, color in zip(widths, ("#d1495b", "#edae49", "#1f5fa8"), strict=False):
    draws = simulate_kernels(
        next(KEYS), INPUTS[:1], "relu", DEPTH, width=width, networks=many, c_w=2.0
    )
    theory = finite_width(2.0, "relu", DEPTH, width=width, c_w=2.0)
    spread = np.asarray(draws)[:, :, 0, 0].std(0, ddof=1) / 2.0
    ratio = layers / width
    axes.plot(ratio, np.sqrt(theory.variance) / 2.0, color=color)
    axes.plot(ratio, spread, "o", ms=4, color=color, label=f"width {width}")
axes.set(xlabel="layer / width", ylabel="relative scatter of the mean square")
axes.set(xscale="log", yscale="log", title="How much critical relu networks differ")
axes.legend()
plt.show()

# %% [markdown]
# ### It can be differentiated
#
# The whole recursion is a differentiable function. The sensitivity of the last layer
# to the first is the product of the layers' susceptibilities; the sensitivity to $C_W$
# tells how sharp a choice the initialiser is.

# %%
c_w = 1.2


def last_variance(first, c_w):
    return variances_through_depth(first, "tanh", DEPTH, c_w=c_w)[-1]


by_first, by_weights = jax.grad(last_variance, (0, 1))(1.0, c_w)
walk = variances_through_depth(1.0, "tanh", DEPTH, c_w=c_w)
product = jnp.prod(susceptibilities(walk[:-1], "tanh", c_w=c_w).parallel)
print(f"d K_L / d K_1 = {by_first:.6f}, product of susceptibilities {product:.6f}")
print(f"d K_L / d C_W = {by_weights:.4f}")

# %% [markdown]
# ## 2. Training for too long
#
# A teacher with $N$ random weights labels $P$ samples, with noise. A linear student
# with $N$ weights starts small and learns by gradient descent on the sum of squares.
# Each eigenvector of the samples' covariance learns by itself, at the speed of its
# eigenvalue $\lambda$: after a time $t$ the part $e^{-\lambda t}$ of its error is left.
#
# So everything hangs on the eigenvalues, and for large $N$ and $P$ these follow the
# Marchenko-Pastur law, which knows only $\alpha = P/N$.

# %%
FEATURES = 30 if SMALL else 400
DRAWS = 4 if SMALL else 16
ALPHAS = (0.5, 1.0, 2.0)
TASK = LinearTask(teacher=1.0, noise=0.4, initial=0.1)
RATE, STEPS = 0.1, (100 if SMALL else 2000)


def ensemble(alpha):
    """Students of finite size: errors step by step, and eigenvalues."""
    samples = int(alpha * FEATURES)

    def one(key):
        return simulate_linear_student(
            key, FEATURES, samples, TASK, steps=STEPS, learning_rate=RATE
        )

    keys = jax.random.split(next(KEYS), DRAWS)
    return jax.jit(lambda keys: jax.lax.map(one, keys))(keys)


STUDENTS = {alpha: ensemble(alpha) for alpha in ALPHAS}

# %%
figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True)
for axes, alpha in zip(panels, ALPHAS, strict=True):
    eigenvalues = np.asarray(STUDENTS[alpha][1]).ravel()
    low, high = map(float, marchenko_pastur_edges(alpha))
    moving = eigenvalues > 1e-4  # with P < N the other directions see no data
    bins = np.linspace(max(low - 0.1, 0), high + 0.1, 40)
    weight = np.full(moving.sum(), 1 / len(eigenvalues) / (bins[1] - bins[0]))
    axes.hist(eigenvalues[moving], bins, weights=weight, color="#c9d6e8", label="drawn")
    x = np.linspace(max(low, 0.005), high, 400)
    axes.plot(x, marchenko_pastur_density(x, alpha), color="#1f5fa8", label="law")
    frozen = f", {1 - alpha:.0%} at zero" if alpha < 1 else ""
    axes.set(title=f"P/N = {alpha:g}{frozen}", xlabel="eigenvalue", ylim=(0, 1.2))
panels[0].set_ylabel("density")
panels[0].legend()
figure.suptitle("At P = N the spectrum reaches down to zero")
plt.show()

# %% [markdown]
# Fast modes learn mostly the teacher, slow ones mostly the noise. Below, the error on
# the training samples falls for ever; the error on new samples has a minimum (dashed),
# and the dotted line is the noise that no student can predict.

# %%
steps = np.arange(STEPS + 1)
shown = np.unique(np.geomspace(1, STEPS, 14).astype(int))
figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
for axes, alpha in zip(panels, ALPHAS, strict=True):
    law = marchenko_pastur(alpha)
    theory = linear_student_errors(steps, law, alpha, TASK, learning_rate=RATE)
    drawn = STUDENTS[alpha][0]
    for kind, color in (("train", "#8a8f98"), ("test", "#1f5fa8")):
        line, dots = getattr(theory, kind), getattr(drawn, kind)
        mean, bar = mean_and_bar(np.asarray(dots)[:, shown])
        axes.plot(steps[1:] * RATE, line[1:], color=color, label=kind)
        axes.errorbar(shown * RATE, mean, bar, fmt="o", ms=4, color=color)
    best = float(optimal_stopping_time(law, TASK))
    axes.axvline(best, color="#d1495b", ls="--")
    axes.axhline(TASK.noise, color="black", ls=":", lw=1)
    axes.set(title=f"P/N = {alpha:g}, best time {best:.2g}")
    axes.set(xlabel="time (steps x step size)", xscale="log", ylim=(0, 5))
panels[0].set_ylabel("mean squared error")
panels[0].legend()
figure.suptitle("Overtraining hurts most at P = N")
plt.show()

# %% [markdown]
# The same as a function of the number of samples. Stopped at the best time, more
# samples are always better. Trained on and on, the error grows a peak at $P = N$.
# Neither fewer samples suffer so (a direction then either has data enough or none, and
# without data it stays as it was), nor more (no direction is slow).

# %%
ratios = jnp.concatenate([jnp.geomspace(0.1, 0.9, 20), jnp.geomspace(0.92, 6, 40)])
ratios = jnp.sort(jnp.append(ratios, 1.0))[:: 12 if SMALL else 1]
times = (10.0, 100.0, 1000.0)


@jax.jit
def test_errors(alpha):
    law = marchenko_pastur(alpha)
    best = optimal_stopping_time(law, TASK)
    at = jnp.stack([best, *map(jnp.asarray, times)])
    return linear_student_errors(at, law, alpha, TASK).test


curves = np.asarray(jax.lax.map(test_errors, ratios))
figure, axes = plt.subplots(figsize=(6.5, 3.8))
axes.plot(ratios, curves[:, 0], color="#d1495b", lw=2.5, label="stopped at its best")
for i, (time, shade) in enumerate(zip(times, (0.35, 0.65, 1.0), strict=True)):
    label = f"at time {time:g}"
    axes.plot(ratios, curves[:, 1 + i], color="#1f5fa8", alpha=shade, label=label)
axes.axhline(TASK.noise, color="black", ls=":", lw=1)
axes.axvline(1, color="black", lw=0.5)
axes.set(xscale="log", yscale="log", xlabel="samples over weights, P/N")
axes.set(ylabel="error on new samples", title="Overtraining is worst at P = N")
axes.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
axes.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
axes.legend()
plt.show()

# %% [markdown]
# ### When to stop, and how sure one must be of the noise
#
# The best time is the root of an equation, and is differentiated as such: its
# derivative in the noise says how much it matters to know the noise.

# %%
alpha = 1.0
law = marchenko_pastur(alpha)


def best_time(noise):
    return optimal_stopping_time(law, TASK._replace(noise=noise))


noises = jnp.geomspace(0.05, 5, 40)
best = jax.vmap(best_time)(noises)
slope = jax.vmap(jax.grad(best_time))(noises)
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
panels[0].plot(noises, best, color="#1f5fa8")
panels[0].set(ylabel="best time to stop", yscale="log")
elasticity = slope * noises / best
numeric = np.gradient(np.log(best), np.log(noises))
panels[1].plot(noises, elasticity, color="#1f5fa8", label="jax.grad")
panels[1].plot(noises[1:-1:4], numeric[1:-1:4], "o", ms=4, label="differences")
panels[1].set(ylabel="d log(time) / d log(noise)", ylim=(-1.1, 0))
panels[1].legend()
for axes in panels:
    axes.set(xscale="log", xlabel="variance of the noise (signal: 1)")
figure.suptitle("More noise, earlier stop (P = N)")
plt.show()

# %% [markdown]
# ## What was compared
#
# Finite networks and students are not the limit. Means over the ensembles above may
# differ from the lines by terms of order depth/width and 1/N. The tests hold theory and
# simulation together within four standard errors, with the corrections where they are
# known: `test_depth_recursion.py` and `test_linear_student.py` in `tests/curvature/`.
#
# References: Poole et al., arXiv:1606.05340; Roberts, Yaida and Hanin,
# arXiv:2106.10165; Advani, Saxe and Sompolinsky, arXiv:1710.03667.
