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
# # MAML and iMAML on sinusoids
#
# Ten points of a sinusoid are far too few to train a network. Unless the network has
# seen many other sinusoids before, and has been trained for one thing only: that **one
# step of gradient descent on ten points takes it to the right curve**. That is
# meta-learning by MAML: a gradient that goes through the gradient step.
#
# 1. What MAML learns, and how fast it then adapts.
# 2. What can be left out of it: second derivatives, or the adaptation of the body.
# 3. iMAML, whose gradient does not go through the steps at all.
#
# Run it with `SMALL=1` in the environment for a quick look with very short training.

# %%
import itertools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxopt_lab.bilevel.metalearning import (
    adapt,
    adaptation_losses,
    anil,
    imaml,
    maml,
    over_tasks,
    reptile,
    sinusoid_task,
)

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
BLUE, GREEN, RED, GREY = "#1f5fa8", "#2a9d6f", "#d1495b", "#8a8f98"

# %% [markdown]
# ## The tasks
#
# Every task is $y = A \sin(x - \phi)$, with an amplitude between 0.1 and 5 and a phase
# between 0 and $\pi$ of its own. One sees ten points (dots) and is judged by the whole
# curve. The mean of all these curves is what a network would learn that cannot adapt,
# and it resembles none of them.

# %%
POINTS = 10


def test_tasks(seed, number):
    """Tasks whose queries are the whole curve."""
    keys = jax.random.split(jax.random.key(seed), number)
    draw = lambda key: sinusoid_task(key, shots=POINTS, queries=101, places="grid")
    return jax.vmap(draw)(keys)


def pick(tasks, i):
    return jax.tree.map(lambda x: x[i], tasks)


shown = test_tasks(seed=3, number=5)
figure, axes = plt.subplots(figsize=(6, 3.2))
for i, color in enumerate((BLUE, GREEN, RED, "#edae49", "#7b5ea7")):
    task = pick(shown, i)
    axes.plot(task.query["x"], task.query["y"], color=color, lw=1.2)
    axes.plot(task.support["x"], task.support["y"], "o", color=color, ms=4)
many = test_tasks(seed=4, number=1000)
mean = many.query["y"].mean(axis=0)
axes.plot(many.query["x"][0], mean, "k--", lw=1.2, label="mean of all tasks")
axes.set(xlabel="x", ylabel="y", title="Five tasks, ten points of each")
axes.legend()
plt.show()

# %% [markdown]
# ## 1. MAML
#
# The network has two hidden layers of 40. `maml` makes a meta-loss: adapt to the ten
# points of a task by one step, then measure the loss on ten others. Its gradient, with
# the second derivatives that the step brings, goes to Adam, 25 new tasks every time.

# %%
RATE = 0.01  # of the inner steps
STEPS = 30 if SMALL else 12_000
TEST = test_tasks(seed=5, number=20 if SMALL else 600)
inner = optax.sgd(RATE)


def network(key, widths=(1, 40, 40, 1)):
    draw = jax.nn.initializers.he_normal()
    sizes = itertools.pairwise(widths)
    return [
        {"kernel": draw(jax.random.fold_in(key, i), size), "bias": jnp.zeros(size[1])}
        for i, size in enumerate(sizes)
    ]


def predict(layers, x):
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return x @ layers[-1]["kernel"] + layers[-1]["bias"]


def loss(layers, batch):
    return jnp.mean((predict(layers, batch["x"]) - batch["y"]) ** 2)


def meta_train(meta_loss, steps=STEPS, tasks=25):
    """The whole meta-training as one program."""
    gradient = jax.value_and_grad(over_tasks(meta_loss), has_aux=True)
    outer = optax.adam(1e-3)

    def step(carry, key):
        layers, state = carry
        drawn = jax.vmap(sinusoid_task)(jax.random.split(key, tasks))
        (value, _), grads = gradient(layers, drawn)
        updates, state = outer.update(grads, state)
        return (optax.apply_updates(layers, updates), state), value

    @jax.jit
    def train(layers, key):
        keys = jax.random.split(key, steps)
        (layers, _), values = jax.lax.scan(step, (layers, outer.init(layers)), keys)
        return layers, values

    return train(network(jax.random.key(0)), jax.random.key(1))


LEARNED, VALUES = {}, {}
LEARNED["MAML"], VALUES["MAML"] = meta_train(maml(loss, inner=inner))

# %% [markdown]
# Three sinusoids that it has not seen. Before the first step (grey, dashed) the network
# says the same of all of them. One step on the dots is enough for a rough likeness, ten
# for a good one, also where there are no dots.

# %%
figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True)
for axes, i in zip(panels, (0, 1, 4), strict=True):
    task = pick(shown, i)
    x, y = task.query["x"], task.query["y"]
    start = LEARNED["MAML"]
    axes.plot(x, y, color="black", lw=3, alpha=0.25, label="the sinusoid")
    axes.plot(task.support["x"], task.support["y"], "ko", ms=5, label="ten points")
    axes.plot(x, predict(start, x), "--", color=GREY, label="not adapted")
    for steps, color in ((1, GREEN), (10, BLUE)):
        layers = adapt(loss, start, task.support, inner=inner, steps=steps)
        label = "1 step" if steps == 1 else f"{steps} steps"
        axes.plot(x, predict(layers, x), color=color, label=label)
    axes.set(xlabel="x")
panels[0].set_ylabel("y")
panels[2].legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle("One step of gradient descent on ten points goes most of the way")
plt.show()

# %% [markdown]
# ## 2. What can be left out
#
# - **First-order MAML** holds the step constant in the derivative: no second
#   derivatives.
# - **Reptile** does not even look at other points: its gradient is the way that a few
#   steps of training on the task go.
# - **ANIL** adapts the last layer only; the body is meta-learned, not adapted.
# - **Joint training** just fits all tasks at once (ANIL with nothing in its head).
#
# The test: 600 new sinusoids, mean square error over the whole curve, after 0 to 10
# steps of the same gradient descent. Lines are medians over the tasks; the band holds
# the middle half of them for MAML.

# %%
METHODS = {
    "first-order MAML": maml(loss, inner=inner, first_order=True),
    "Reptile": reptile(loss, inner=inner, steps=5),
    "ANIL": anil(loss, head=[False, False, True], inner=inner),
    "joint training": anil(loss, head=False, inner=inner),
}
for name, meta_loss in METHODS.items():
    LEARNED[name], VALUES[name] = meta_train(meta_loss)


@jax.jit
def errors(layers, mask):
    """Error on each test task after 0, 1, ..., 10 steps; mask: which layers move."""
    moved = optax.chain(
        optax.stateless(lambda g, _: jax.tree.map(jnp.multiply, g, mask)), inner
    )
    one = lambda task: adaptation_losses(loss, layers, task, inner=moved, steps=10)
    return jax.vmap(one)(TEST)


def moving(*layers):
    return [{"kernel": float(m), "bias": float(m)} for m in layers]


COLORS = {
    "MAML": BLUE,
    "first-order MAML": GREEN,
    "ANIL": "#7b5ea7",
    "Reptile": "#edae49",
    "joint training": GREY,
}
ERRORS = {}
for name, layers in LEARNED.items():
    mask = moving(0, 0, 1) if name == "ANIL" else moving(1, 1, 1)
    # From some starts the steps diverge on some tasks; these count as very wrong.
    ERRORS[name] = np.nan_to_num(np.asarray(errors(layers, mask)), nan=1e6, posinf=1e6)

figure, axes = plt.subplots(figsize=(7.5, 3.8))
for name, color in COLORS.items():
    low, middle, high = np.quantile(ERRORS[name], [0.25, 0.5, 0.75], axis=0)
    axes.plot(middle, "o-", ms=4, color=color, label=name)
    if name == "MAML":
        axes.fill_between(range(11), low, high, color=color, alpha=0.15)
axes.set(xlabel="steps of gradient descent on ten points", yscale="log")
axes.set(ylabel="squared error of the curve", ylim=(0.1, 20))
axes.set(title="How fast each start adapts to new tasks")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
for name, values in ERRORS.items():
    before, one, ten = np.median(values, axis=0)[[0, 1, 10]]
    print(f"{name:16} before {before:.2f}, after 1 step {one:.2f}, 10 steps {ten:.2f}")

# %% [markdown]
# ## 3. iMAML: the place, not the way
#
# MAML's derivative runs back through every inner step, so they all have to be stored
# (or recomputed: `remat="sqrt"`). iMAML adapts by going all the way to the minimum
# $\phi$ of a loss that also keeps near to the start,
#
# $$L_\mathrm{support}(\phi) + \frac{\lambda}{2} \lVert \phi - \theta \rVert^2 .$$
#
# How a minimum moves with $\theta$ follows from the curvature at the minimum alone.
# The gradient is the solution of one linear system, found by conjugate gradients, and
# nothing of the way is stored:

# %%
COUNTS = (2, 4) if SMALL else (4, 32, 256)
one_task = pick(shown, 0)
STRENGTH = 5.0
IN_MEMORY = {
    "MAML": lambda n: maml(loss, inner=inner, steps=n),
    'MAML, remat="sqrt"': lambda n: maml(loss, inner=inner, steps=n, remat="sqrt"),
    "iMAML": lambda n: imaml(loss, inner=inner, steps=n, strength=STRENGTH),
}


def kilobytes(meta_loss):
    """Temporary memory of one compiled meta-gradient."""
    gradient = jax.jit(jax.grad(meta_loss, has_aux=True))
    compiled = gradient.lower(LEARNED["MAML"], one_task).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1000


MEMORY = {
    name: [kilobytes(make(n)) for n in COUNTS] for name, make in IN_MEMORY.items()
}

# %% [markdown]
# And the way does not matter, if it is gone to its end: gradient descent and Adam take
# different ways to the same minimum, and give the same gradient there. Shown here for
# the last layer alone, whose loss has one minimum only. Short of it (left end of the
# right panel) the gradient is wrong, so iMAML wants an inner loop that converges. With
# all layers of a relu network there is more than one minimum, and different ways may
# end in different ones.

# %%
WAYS = {"gradient descent": optax.sgd(0.001), "Adam": optax.adam(0.01)}
LENGTHS = (4, 8) if SMALL else (4, 16, 64, 256, 1024, 4096)
*BODY, HEAD = LEARNED["MAML"]


def head_loss(head, batch):
    return loss([*BODY, head], batch)


def implicit_gradient(tx, steps):
    meta_loss = imaml(
        head_loss, inner=tx, steps=steps, strength=STRENGTH, cg_steps=None
    )
    grads, _ = jax.jit(jax.grad(meta_loss, has_aux=True))(HEAD, one_task)
    return ravel_pytree(grads)[0]


FAR = implicit_gradient(WAYS["gradient descent"], 16 if SMALL else 20_000)
OFF = {
    name: [
        float(jnp.linalg.norm(implicit_gradient(tx, n) - FAR) / jnp.linalg.norm(FAR))
        for n in LENGTHS
    ]
    for name, tx in WAYS.items()
}

figure, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for (name, values), color in zip(MEMORY.items(), (BLUE, GREEN, RED), strict=True):
    panels[0].plot(COUNTS, values, "o-", color=color, label=name)
panels[0].set(xscale="log", yscale="log", xlabel="inner steps")
panels[0].set(ylabel="memory of one gradient, kB", title="iMAML stores none of the way")
panels[0].legend()
for (name, values), color in zip(OFF.items(), (BLUE, RED), strict=True):
    panels[1].plot(LENGTHS, values, "o-", color=color, label=name)
panels[1].set(xscale="log", yscale="log", xlabel="inner steps")
panels[1].set(
    ylabel="relative distance", title="Distance to the gradient at the minimum"
)
panels[1].legend()
plt.show()
