"""Models of one's own: their arguments, their outputs, what is refused."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import imported, models
from jaxopt_lab.lab.models.own import OwnModel
from jaxopt_lab.lab.models.wanted import Wanted


class Net(nnx.Module):
    def __init__(
        self,
        in_features,
        num_classes,
        width: int = 4,
        wide=(1, 2),
        act=nnx.relu,
        *,
        scale: float,
        rngs,
    ):
        self.hidden = nnx.Linear(in_features, width, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)
        self.act, self.scale = act, scale

    def __call__(self, x):
        x = x.reshape(x.shape[0], -1)
        return self.scale * self.head(self.act(self.hidden(x)))


class Linen(linen.Module):
    num_classes: int
    width: int = 3

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.Dense(self.width)(x.reshape(x.shape[0], -1))
        x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dense(self.num_classes)(x)


def outputs(functional, x):
    params, state = functional.init(jax.random.key(0))
    return functional.apply(params, state, x, train=False)[0]


def test_arguments_become_options_or_are_given():
    model = OwnModel("Net", Net)
    fields = {
        f: model.config.__dataclass_fields__[f].default for f in ["width", "wide"]
    }
    assert set(model.config.__dataclass_fields__) == {"width", "wide", "scale"}
    assert fields == {"width": 4, "wide": (1, 2)}
    config = model.config(width=5, scale=2.0)
    functional = model.functional(config, Wanted((2, 3), 7))
    shapes = jax.eval_shape(lambda: functional.init(jax.random.key(0))[0])
    assert shapes["hidden"]["kernel"].shape == (6, 5)
    assert shapes["head"]["kernel"].shape == (5, 7)


def test_linen_modules_and_functions_that_make_one():
    x = jnp.ones((2, 4))
    by_class = OwnModel("Linen", Linen)
    made = OwnModel("made", lambda num_classes: Linen(num_classes))
    one = outputs(by_class.functional(by_class.config(), Wanted((4,), 2)), x)
    two = outputs(made.functional(made.config(), Wanted((4,), 2)), x)
    assert one.shape == (2, 2) and (one == two).all()


@pytest.mark.parametrize(
    "make, options, words",
    [
        (Net, {}, r"needs model\.scale="),
        (lambda beta: Linen(2), {}, "needs beta, which the lab does not know"),
        (lambda: 3, {}, "gives 3; accepted: a module of flax"),
        (lambda: Linen(3), {}, r"outputs of shape \(B, 3\).*logits of shape \(B, 2\)"),
        (
            lambda rngs: nnx.Linear(9, 2, rngs=rngs),
            {},
            r"does not take inputs of shape \(B, 4\)",
        ),
    ],
    ids=["option", "argument", "no module", "outputs", "inputs"],
)
def test_what_does_not_fit_is_told_in_one_line(make, options, words):
    model = OwnModel("mine", make)
    with pytest.raises(InputError, match=words) as caught:
        model.functional(model.config(**options), Wanted((4,), 2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, words",
    [
        ("no_such_module_here:Net", "no module no_such_module_here"),
        ("math:sqrtt", "unknown name in math 'sqrtt'; perhaps you meant 'sqrt'"),
    ],
)
def test_paths_that_lead_nowhere(name, words):
    with pytest.raises(InputError, match=words):
        imported.load("model", name)
    with pytest.raises(InputError, match=words):
        models.get(name)


def test_a_module_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match="failed: ZeroDivisionError"):
        imported.load("task", "failing_module:load")
