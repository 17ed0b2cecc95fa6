"""The problem on which the bars of the unroll were measured, and its bytes."""

import jax
import jax.numpy as jnp
import optax

QUICK = {"xla_backend_optimization_level": 0}


def net(hidden, key, sizes=(32, 10), dtype=jnp.float32):
    """Weights of a tanh network with two hidden layers."""
    sizes = (sizes[0], hidden, hidden, sizes[1])
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (a, b), dtype) / a**0.5, jnp.zeros((b,), dtype))
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def loss_fn(params, batch):
    """Mean squared error, no promotion of dtypes or ranks."""
    inputs, targets = batch
    for weight, bias in params[:-1]:
        inputs = jnp.tanh(inputs @ weight + bias[None])
    weight, bias = params[-1]
    return jnp.mean((inputs @ weight + bias[None] - targets) ** 2)


def data(examples=64, sizes=(32, 10), dtype=jnp.float32, seed=1):
    """One batch of noise."""
    one, two = jax.random.split(jax.random.key(seed))
    return (
        jax.random.normal(one, (examples, sizes[0]), dtype),
        jax.random.normal(two, (examples, sizes[1]), dtype),
    )


def adam_step(learning_rate, batch, loss=loss_fn):
    """``step(state, t)`` of Adam on one batch; the state is parameters and moments."""
    tx = optax.scale_by_adam()

    def step(state, t):
        params, opt_state = state
        updates, opt_state = tx.update(jax.grad(loss)(params, batch), opt_state)
        move = lambda p, u: p - learning_rate * u
        return jax.tree.map(move, params, updates), opt_state

    return step


def adam_start(params):
    """The state of ``adam_step``."""
    return params, optax.scale_by_adam().init(params)


def temporary_bytes(fn, *args):
    """Bytes of temporaries of the compiled program, without running it.

    The bytes do not depend on the optimisation of the machine code.
    """
    lowered = jax.jit(fn).lower(*args)
    return lowered.compile(QUICK).memory_analysis().temp_size_in_bytes
