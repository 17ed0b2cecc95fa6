"""Modes of modules under all their names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import from_linen, from_nnx
from jaxopt_lab.training.modes import mode_of, modes

X = np.ones((2, 3), np.float32)
# Names of the mode, and its value in training.
NAMES = {
    "train": True,
    "training": True,
    "is_training": True,
    "is_train": True,
    "deterministic": False,
    "use_running_average": False,
}


def calling(name, base):
    """A module class whose ``__call__`` takes the mode under this name."""
    space = {}
    exec(
        f"def __call__(self, x, *, {name}=None):\n"
        f"    return x + ({name} == {NAMES.get(name, True)}) - 2 * ({name} is None)",
        space,
    )
    return type("Net", (base,), {"__call__": space["__call__"]})


def values(model):
    params, state = model.init(jax.random.key(0))
    call = functools.partial(model.apply, params, state, X, key=jax.random.key(1))
    return [float(call(train=mode)[0][0, 0]) for mode in (True, False)]


@pytest.mark.parametrize("name", NAMES)
def test_the_mode_reaches_the_call_under_its_name(name):
    assert values(from_nnx(lambda rngs: calling(name, nnx.Module)())) == [2, 1]
    assert values(from_linen(calling(name, linen.Module)(), X)) == [2, 1]
    assert mode_of(lambda self, x, **k: x, True) == {}
    assert modes(True)[name] is NAMES[name]


@pytest.mark.parametrize("name", ["training", "is_training"])
def test_the_mode_reaches_an_attribute_of_a_module(name):
    class Flagged(nnx.Module):
        def __init__(self):
            setattr(self, name, False)

        def __call__(self, x):
            return x + getattr(self, name)

    class Outer(nnx.Module):
        def __init__(self):
            self.inner = Flagged()

        def __call__(self, x):
            return self.inner(x)

    assert values(from_nnx(lambda rngs: Outer())) == [2, 1]


@pytest.mark.parametrize("name", ["training", "deterministic"])
def test_the_mode_reaches_a_field_of_a_linen_module(name):
    class Flagged(linen.Module):
        training: bool = False
        deterministic: bool = False

        @linen.compact
        def __call__(self, x):
            return x + (getattr(self, name) == NAMES[name])

    assert values(from_linen(Flagged(), X)) == [2, 1]


@pytest.mark.parametrize(
    "name", ["is_eval", "inference", "mode", "testing", "in_train"]
)
def test_what_looks_like_a_mode_is_refused(name):
    words = f"Net.__call__ takes '{name}', which looks like a mode.*accepted names: tr"
    with pytest.raises(InputError, match=words):
        from_nnx(lambda rngs: calling(name, nnx.Module)())
    with pytest.raises(InputError, match=words):
        from_linen(calling(name, linen.Module)(), X)


@pytest.mark.parametrize("name", ["mask", "model", "modes_of_vibration", "features"])
def test_other_arguments_are_left_alone(name):
    # With its default of None the result is 2 less, in either mode.
    assert values(from_nnx(lambda rngs: calling(name, nnx.Module)())) == [-1, -1]


def test_dropout_and_statistics_follow_a_mode_called_training():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x, training):
            x = linen.BatchNorm(use_running_average=not training)(x)
            return linen.Dropout(0.5, deterministic=not training)(x)

    model = from_linen(Net(), X)
    params, state = model.init(jax.random.key(0))
    _, moved = model.apply(params, state, X, train=True, key=jax.random.key(1))
    old, new = (jax.tree.leaves(s["batch_stats"])[0] for s in (state, moved))
    assert bool(jnp.any(old != new))
