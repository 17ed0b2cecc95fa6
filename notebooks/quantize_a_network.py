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
# # Quantize a trained network
#
# Weights rounded to 8, 4, 3 and 2 bits after training, by three methods: rounding each
# to the nearest point of its grid, GPTQ, which passes the error of a column on to those
# that follow, and QuantEase, which goes over the columns again. The last two see the
# inputs of each layer, as one gram matrix.
#
# Bars are the range over seeds. Run it with `SMALL=1` in the environment for a quick
# look.

# %%
import functools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxopt_lab import quantize

SMALL = os.environ.get("SMALL", "") not in ("", "0")
SEEDS, STEPS, WIDTH = (1, 60, 16) if SMALL else (3, 600, 48)
BITS = (8, 2) if SMALL else (8, 4, 3, 2)

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
COLORS = {"nearest": "#1f5fa8", "gptq": "#2a9d6f", "quantease": "#d1495b"}

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
x = jnp.asarray(images[order], jnp.float32) / 16
y = jnp.asarray(labels[order])
train, test = {"x": x[:1200], "y": y[:1200]}, {"x": x[1200:], "y": y[1200:]}


def init(key):
    keys = jax.random.split(key, 3)
    layer = lambda k, a, b: {
        "kernel": jax.random.normal(k, (a, b)) * np.sqrt(2 / a),
        "bias": jnp.zeros(b),
    }
    return {
        "first": layer(keys[0], 64, WIDTH),
        "second": layer(keys[1], WIDTH, WIDTH),
        "head": layer(keys[2], WIDTH, 10),
    }


def apply(params, x):
    for name in ("first", "second"):
        x = jax.nn.relu(x @ params[name]["kernel"] + params[name]["bias"])
    return x @ params["head"]["kernel"] + params["head"]["bias"]


def loss_fn(params, batch):
    value = apply(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(value, batch["y"]).mean()


@jax.jit
def trained(key):
    tx = optax.adamw(2e-3)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss_fn)(params, train), state, params)
        return (optax.apply_updates(params, updates), state), None

    params = init(key)
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    return params


@jax.jit
def accuracy(params):
    return jnp.mean(jnp.argmax(apply(params, test["x"]), 1) == test["y"])


networks = [trained(key) for key in jax.random.split(jax.random.key(0), SEEDS)]
print("accuracy in float32:", *(f"{100 * accuracy(p):.2f} %" for p in networks))

# %% [markdown]
# ## Three methods, four widths
#
# `quantize_params` takes rules `(pattern, quantizer, grid)`; the first that matches a
# path counts, biases stay as they are. It goes through the layers in order: the inputs
# that a layer is fitted to are those that the quantized layers before it give.

# %%
METHODS = {
    "nearest": quantize.round_to_nearest,
    "gptq": quantize.gptq,
    "quantease": quantize.quantease,
}
batches = [train["x"][:512]]
scores = {name: np.zeros((SEEDS, len(BITS))) for name in METHODS}
errors = {name: np.zeros((SEEDS, len(BITS))) for name in METHODS}
reports = {}
for name, method in METHODS.items():
    for j, bits in enumerate(BITS):
        rules = [("kernel", functools.partial(method, bits=bits), "gptq")]
        for i, params in enumerate(networks):
            coarse, report = quantize.quantize_params(apply, params, rules, batches)
            scores[name][i, j] = 100 * accuracy(coarse)
            errors[name][i, j] = report.output_error
            reports[name, bits] = report

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
places = np.arange(len(BITS))
for k, name in enumerate(METHODS):
    for axis, values in zip(axes, (errors[name], scores[name]), strict=True):
        mean = values.mean(0)
        spread = np.stack([mean - values.min(0), values.max(0) - mean])
        axis.errorbar(
            places + 0.12 * (k - 1),
            mean,
            spread,
            fmt="o",
            color=COLORS[name],
            capsize=3,
            label=name,
        )
        axis.set_xticks(places, [f"{bits} bits" for bits in BITS])
axes[0].set_yscale("log")
axes[0].set_ylabel("squared error of the logits, relative")
axes[1].axhline(
    100 * float(np.mean([accuracy(p) for p in networks])), color="0.6", lw=1
)
axes[1].set_ylabel("test accuracy, %")
axes[0].legend()
plt.show()

# %% [markdown]
# The line is the accuracy in float32. Bytes, with the scales of each output's grid:

# %%
for bits in BITS:
    report = reports["gptq", bits]
    print(f"{bits} bits: {report.nbytes:6d} bytes of {report.nbytes_before}")

# %% [markdown]
# ## One matrix
#
# The weights of the second layer of one network, before and after rounding to 3 bits (2
# in the quick look): GPTQ and QuantEase move weights away from their nearest point, to
# make up for the others.

# %%
bits = BITS[-2] if not SMALL else BITS[-1]
weight = np.asarray(networks[-1]["second"]["kernel"]).T
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharex=True, sharey=True)
for axis, name in zip(axes, METHODS, strict=True):
    codes, report = reports[name, bits].layers["second/kernel"]
    rounded = np.asarray(codes.dequantize())
    axis.plot(weight.ravel(), (rounded - weight).ravel(), ".", ms=2, color=COLORS[name])
    axis.set_title(f"{name}: error {float(report.error):.3g}")
    axis.set_xlabel("weight")
axes[0].set_ylabel("rounded less weight")
plt.show()

# %% [markdown]
# The same for a run of the lab, with a table for each layer:
#
# ```
# python -m experiments.quantize run=runs/NAME method=quantease bits=3
# ```
