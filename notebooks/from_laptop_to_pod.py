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
# # From a laptop to a pod
#
# A train step is written once. Where it runs is a *mesh*, devices with named axes, and
# *shardings*, which say how every array is cut over them. This notebook pretends to
# have 64 devices, trains on 8 of them, and shows
#
# 1. that the numbers are those of one device,
# 2. how many bytes of optimizer state each device holds,
# 3. what a step sends between devices, counted in the compiled program,
#
# and ends with the commands that do the same on real ones. Curves have no band: every
# run has one seed, for runs are compared number by number and not for their accuracy.
# Run it with `SMALL=1` in the environment for a quick look.

# %%
import os

# Before jax is imported. A real pod needs no such line.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=64"

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxopt_lab
from jaxopt_lab import training
from jaxopt_lab.lab.plan import wire
from jaxopt_lab.lab.plan.configs import MODELS
from jaxopt_lab.lab.plan.layout import lay_out
from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned

SMALL = os.environ.get("SMALL", "") not in ("", "0")
STEPS, WIDTH = (3, 32) if SMALL else (60, 64)

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
print(f"{jax.device_count()} devices: {jax.devices()[0].platform}")

# %% [markdown]
# ## A step that knows of no device

# %%
images, labels = load_digits(return_X_y=True)
x = jnp.asarray(images[:1024], jnp.float32) / 16
y = jnp.asarray(labels[:1024])


def init_params(key):
    keys = jax.random.split(key, 3)
    sizes = (64, WIDTH, WIDTH, 16)
    return {
        name: {"kernel": jax.random.normal(k, (a, b)) * np.sqrt(2 / a)}
        for name, k, a, b in zip(
            ("first", "second", "head"), keys, sizes[:-1], sizes[1:], strict=True
        )
    }


def loss_fn(params, model_state, batch, key):
    h = batch["x"]
    for name in ("first", "second"):
        h = jax.nn.relu(h @ params[name]["kernel"])
    value = h @ params["head"]["kernel"]
    each = optax.softmax_cross_entropy_with_integer_labels(value, batch["y"])
    return each.mean(), (model_state, {})


tx = optax.chain(jaxopt_lab.sam(rho=0.05), optax.adamw(3e-3))


def init(key):
    return training.init_state(tx, init_params(key), key)


shapes = jax.eval_shape(init, jax.random.key(0))

# %% [markdown]
# ## The same numbers on any mesh
#
# `state_shardings` takes rules by path for the parameters, and `zero_axis` to divide
# the optimizer state over the data axis (ZeRO-1). The rule below cuts the outputs of
# one layer and the inputs of the next over the axis `model`.

# %%
RULES = "first/kernel=-,model;second/kernel=model,-"
MESHES = {
    "one device": ("data:1", "", None),
    "data:8": ("data:8", "", None),
    "data:8, state divided": ("data:8", "", "data"),
    "data:4, model:2": ("data:4,model:2", RULES, None),
}
losses, states = {}, {}
for name, (axes, rules, zero) in MESHES.items():
    mesh = training.make_mesh(axes)
    shardings = training.state_shardings(
        shapes, training.parse_rules(rules) if rules else (), mesh, zero_axis=zero
    )
    step = jax.jit(
        training.make_parallel_step(loss_fn, tx, mesh, shardings), donate_argnums=0
    )
    state = training.init_sharded(init, jax.random.key(0), shardings)
    cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    records = []
    for i in range(STEPS):
        rows = slice(64 * i % 1024, 64 * i % 1024 + 64)
        batch = jax.device_put({"x": x[rows], "y": y[rows]}, cut)
        state, metrics = step(state, batch)
        records.append(float(metrics["loss"]))
    losses[name], states[name] = np.array(records), state

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4))
for (name, values), color in zip(losses.items(), COLORS, strict=True):
    axes[0].plot(values, color=color, label=name, lw=1)
    if name != "one device":
        off = np.abs(values - losses["one device"]) / losses["one device"]
        axes[1].plot(np.maximum(off, 1e-9), color=color, label=name, lw=1)
axes[0].set_ylabel("training loss, nats")
axes[1].set_ylabel("relative difference to one device")
for axis in axes:
    axis.set_xlabel("step")
    axis.set_yscale("log")
axes[0].legend()
plt.show()

for name, state in states.items():
    moment = state.opt_state[1][0].mu["second"]["kernel"]
    part = moment.addressable_shards[0].data
    print(f"{name:22s} first moment {moment.shape}, on one device {part.shape}")

# %% [markdown]
# Differences are those of float32 sums in another order; the bottom of the figure
# stands for none. Seeds are another axis: `mesh=seeds:4,data:2` trains four seeds at
# once, each on two devices.
#
# ## Bytes on each device
#
# Shapes and shardings alone say how much optimizer state of a 60-million-parameter
# language model each device holds.

# %%
SIZES = (1, 8) if SMALL else (1, 2, 4, 8, 16, 32, 64)
CASES = {
    "adamw": ("adamw", "none"),
    "adamw8bit": ("adamw8bit", "none"),
    "adamw, divided": ("adamw", "state"),
    "adamw8bit, divided": ("adamw8bit", "state"),
}
figure, axis = plt.subplots(figsize=(5.5, 3.6))
for (name, (method, zero)), color in zip(CASES.items(), COLORS, strict=True):
    held = []
    for size in SIZES:
        mesh = training.make_mesh(f"data:{size}")
        layout = lay_out(MODELS["llama-60m"], method, mesh, 64, zero=zero)
        held.append(layout.bytes_of("opt_state") / 1e6)
    axis.plot(SIZES, held, "o-", color=color, label=name, ms=4)
axis.set_xscale("log", base=2)
axis.set_yscale("log")
axis.set_xlabel("devices on the data axis")
axis.set_ylabel("optimizer state on each device, MB")
axis.legend()
plt.show()

# %% [markdown]
# ## What a step sends
#
# Read from the program after the partitioner, for 8 devices: bytes that each of them
# sends around a ring, by parameter. SAM's second gradient doubles it. With
# `sync="local"` each device ascends along the gradient of its own part, and only the
# last gradient is sent (that is m-sharpness with a part for each device). A divided
# state trades the all-reduce for other collectives.

# %%
count = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
mesh = training.make_mesh("data:8")
cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
VARIANTS = {
    "adamw": (optax.adamw(3e-3), None, "jit"),
    "sam": (tx, None, "jit"),
    "sam, sync local": (
        optax.chain(jaxopt_lab.sam(0.05, sync="local"), optax.adamw(3e-3)),
        None,
        "shard_map",
    ),
    "adamw, state divided": (optax.adamw(3e-3), "data", "jit"),
}


def place(leaf, there):
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there)


for name, (variant, zero, style) in VARIANTS.items():
    one = jax.eval_shape(
        lambda key, tx=variant: training.init_state(tx, init_params(key), key),
        jax.random.key(0),
    )
    shardings = training.state_shardings(one, (), mesh, zero_axis=zero)
    step = training.make_parallel_step(loss_fn, variant, mesh, shardings, style=style)
    batch = {"x": x[:64], "y": y[:64]}
    lowered = jax.jit(step).lower(
        jax.tree.map(place, one, shardings),
        {entry: place(leaf, cut) for entry, leaf in batch.items()},
    )
    found = compile_partitioned(lowered, xla_backend_optimization_level=0)
    sent = wire.by_axis(wire.sent(read_module(found.text), mesh.shape))
    told = ", ".join(f"{kind} {value / count:.2f}" for (kind, _), value in sent.items())
    print(f"{name:22s} bytes a parameter: {told}")

# %% [markdown]
# ## The same on the command line
#
# ```
# python -m experiments.train method=sam task=digits                    # a laptop
# python -m experiments.train method=sam mesh=data:8                    # eight devices
# python -m experiments.train method=sam mesh=data:8 zero=true          # state divided
# python -m experiments.train method=sam mesh=data:8 style=shard_map sync=local python
# -m experiments.train method=sam coordinator=auto               # a pod, SLURM, GKE
# ```
#
# Before a pod is asked for, `python -m experiments.plan model=llama-7b method=adamw4bit
# mesh=data:64,model:8 batch=1024` says whether the run fits. A run may be resumed on
# another mesh. More: [many devices](../docs/devices.md).
