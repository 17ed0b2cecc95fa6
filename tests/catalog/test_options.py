"""Options stand once, in the signature: the catalog, checks and docstrings agree."""

import dataclasses
import inspect
import re
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import catalog
from jaxopt_lab.core.argument_checks import check_value
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.option_texts import documented, first_sentence
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    UNIT,
    Interval,
    arguments,
    check_arguments,
    option_of,
    takes,
)
from jaxopt_lab.core.typing import ScalarOrSchedule

OWN = [row for row in catalog.CATALOG.values() if isinstance(row.options, tuple)]
PUBLIC = [
    getattr(jaxopt_lab, name)
    for name in jaxopt_lab.__all__
    if "GradientTransformation"
    in str(getattr(getattr(jaxopt_lab, name), "__annotations__", {}).get("return"))
]


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_catalog_signature_and_docstring_are_equal(row):
    parameters = inspect.signature(row.load()).parameters
    texts = documented(row.load())
    assert set(texts) == set(parameters), "Args must name every argument and no other"
    for name, option in row.details.items():
        stated = option_of(row.load(), name)
        if name in row.overrides:
            assert option.default != parameters[name].default, "overrides nothing"
        else:
            assert option.default == parameters[name].default
        assert option.accepted == stated.accepted
        assert option.static or not stated.static
        assert option.help == first_sentence(texts[name]) != ""
        row.details[name].checked(name, option.default)
    assert set(row.overrides) | row.fixed <= set(row.options)


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_a_value_out_of_range_is_refused_by_catalog_and_function(row):
    wraps = getattr(row, "role", "") == "wrapper"
    inner = [optax.sgd(0.1, momentum=0.9)] if wraps else []
    for name, option in row.details.items():
        if isinstance(option.accepted, Interval):
            low = option.accepted.low
            number = int if option.default is None else type(option.default)
            wrong = number(low - 1)
        elif isinstance(option.accepted, tuple):
            wrong = "no such name"
        else:
            continue
        with pytest.raises(InputError, match=name):
            row.checked({name: wrong})
        if row.kind != "transform":
            continue  # The batteries of the other kinds call them with inputs.
        with pytest.raises(InputError, match=name):
            row.load()(*inner, **{**row.defaults(), name: wrong})


@pytest.mark.parametrize("function", PUBLIC, ids=lambda f: f.__name__)
def test_every_public_transformation_documents_its_arguments(function):
    assert set(documented(function)) == set(inspect.signature(function).parameters)


def test_names_of_options_are_written_in_few_places():
    """Before: kappa 78, resum (now recompute_sum) 49, buffer_dtype 38, densify 23..."""
    package = inspect.getfile(jaxopt_lab).removesuffix("__init__.py")
    import pathlib

    # Those of transforms: a part of another kind may have an option of the same name.
    others = {"layers", "layers.py", "search", "searches.py"}
    every = pathlib.Path(package).rglob("*.py")
    files = [path for path in every if not others & set(path.parts)]
    text = "\n".join(p.read_text() for p in files)
    most = {
        "kappa": 26,
        "recompute_sum": 16,
        "buffer_dtype": 12,
        "densify": 7,
        "quant_block": 6,
    }
    found = {name: len(re.findall(rf"\b{name}\b", text)) for name in most}
    assert all(found[name] <= most[name] for name in most), found


# What a function says of its arguments.


@dataclasses.dataclass(frozen=True)
class Window:
    """Options of a window.

    Attributes:
      length: steps remembered. Long ones
        cost memory.
      weight: share of the past.
    """

    length: Annotated[int, COUNT] = 3
    _: dataclasses.KW_ONLY
    weight: Annotated[ScalarOrSchedule, DECAY] = 0.5

    def __post_init__(self):
        check_arguments(Window, vars(self))


@takes(Window, length=7)
def averaged(
    rate: Annotated[ScalarOrSchedule, POSITIVE],
    *,
    kind: Literal["mean", "sum"] = "mean",
    power: Annotated[ScalarOrSchedule | Literal["auto"], UNIT] = "auto",
    scale: Annotated[float, NON_NEGATIVE, STATIC] = 1.0,
    plain: bool = False,
    block: Literal["row"] | int = "row",
    most: Annotated[int | None, Interval(1, 9)] = None,
    **window,
):
    """An average.

    Args:
      rate: step size :math:`\\eta`; see ``sam``. More.
      kind: operation.
      power: exponent.
      scale: factor.
      plain: without weights.
      block: what is averaged.
      most: at most.
      **window: options of ``Window``.

    Returns:
      Everything.
    """
    check_arguments(averaged, locals())
    return rate, Window(**window)


def test_the_signature_is_flat_and_positional_as_the_sources():
    assert list(inspect.signature(averaged).parameters) == [
        "rate",
        "length",
        "kind",
        "power",
        "scale",
        "plain",
        "block",
        "most",
        "weight",
    ]
    assert averaged(0.1) == (0.1, Window(7))
    assert averaged(0.1, 2, weight=0.25) == (0.1, Window(2, weight=0.25))
    with pytest.raises(TypeError, match=r"averaged\(\) got an unexpected .*'lenght'"):
        averaged(0.1, lenght=2)
    with pytest.raises(TypeError, match=r"averaged\(\) missing a required .*'rate'"):
        averaged()


def test_the_docstring_lists_what_is_inherited():
    assert documented(averaged)["length"] == (
        "steps remembered. Long ones cost memory."
    )
    assert "**window" not in averaged.__doc__ and "Returns:" in averaged.__doc__
    assert "      weight: share of the past.\n" in averaged.__doc__


def test_options_are_read_off():
    rate = option_of(averaged, "rate")
    assert rate.default is inspect.Parameter.empty
    assert rate.accepted == POSITIVE and not rate.static
    assert rate.help == "step size eta; see sam"
    assert option_of(averaged, "kind").accepted == ("mean", "sum")
    assert option_of(averaged, "length").default == 7
    assert option_of(averaged, "length").static and option_of(averaged, "scale").static
    assert not option_of(averaged, "weight").static
    assert arguments(averaged)["most"].interval == Interval(1, 9)
    with pytest.raises(InputError, match="unknown argument of averaged 'rat'"):
        option_of(averaged, "rat")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rate": 0.0}, "rate must be above 0; got 0.0"),
        ({"rate": float("nan")}, "rate must be above 0; got nan"),
        ({"kind": "median"}, "unknown kind 'median'; perhaps you meant 'mean'"),
        ({"power": 2.0}, r"power must lie in \[0, 1\]; got 2.0"),
        ({"power": "aut"}, "unknown power 'aut'; perhaps you meant 'auto'"),
        ({"scale": -1}, "scale must be a number of at least 0; got -1"),
        ({"scale": jnp.ones(())}, "scale must be a number of at least 0; got Array"),
        ({"scale": True}, "scale must be a number of at least 0; got True"),
        ({"plain": "no"}, "plain must be True or False; got 'no'"),
        ({"most": 10}, "most must be a whole number from 1 to 9; got 10"),
        ({"most": True}, "most must be a whole number from 1 to 9; got True"),
        ({"length": 0}, "length must be a whole number of at least 1; got 0"),
        ({"length": 2.0}, "length must be a whole number of at least 1; got 2.0"),
        ({"weight": 1.0}, r"weight must lie in \[0, 1\); got 1.0"),
        ({"block": "column"}, "unknown block 'column'"),
    ],
)
def test_values_out_of_range_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        averaged(**{"rate": 0.1, **wrong})


def test_schedules_traced_values_and_none_pass():
    rate, weight = (lambda count: -1.0), (lambda count: 2.0)
    found = averaged(rate, weight=weight, most=None, block=4)
    assert found == (rate, Window(7, weight=weight))
    traced = jax.jit(lambda r: averaged(r, weight=r)[1].weight * averaged(r)[0])
    assert traced(2.0) == 4.0
    found = averaged(np.float32(0.1), plain=np.bool_(True), power=0.5, scale=2)
    assert found == (np.float32(0.1), Window(7))


def test_first_sentences():
    assert first_sentence("") == ""
    assert first_sentence("in [0, 1.5) always. And more") == "in [0, 1.5) always"
    assert first_sentence(r"of ``sam``, :math:`\rho`. And") == "of sam, rho"
    assert first_sentence("as Foret et al. say. No") == "as Foret et al. say"
    for end in ("; number, traced scalar or schedule", ", a number or a traced scalar"):
        assert first_sentence(f"radius{end} of x.") == "radius"


def test_optax_sees_the_flat_signature():
    static = ("length", "kind", "plain", "most", "block", "scale", "power")

    @takes(Window)
    def scaled(rate: ScalarOrSchedule, **window):
        return optax.scale(rate * Window(**window).weight)

    tx = optax.inject_hyperparams(scaled, static_args=("length",))(0.5)
    state = tx.init(jnp.ones(2))
    assert sorted(state.hyperparams) == ["rate", "weight"]
    moved, _ = tx.update(jnp.ones(2), state)
    np.testing.assert_allclose(moved, 0.25)
    found = jaxopt_lab.core.injection.static_arguments(averaged)
    assert found == set(static) - {"power"}


def _number_options():
    """Every number of every row, with the row that has it."""
    for row in OWN:
        for name, option in row.details.items():
            if type(option.default) in (int, float):
                yield pytest.param(row, name, id=f"{row.name}-{name}")


def _numpy(value, dtype=None):
    return np.asarray(value, dtype or type(value))[()]


@pytest.mark.parametrize(("row", "name"), list(_number_options()))
def test_numbers_of_numpy_are_numbers(row, name):
    """Accepted as Python's are, checked as Python's are, by function and catalog."""
    option = row.details[name]
    argument = arguments(row.load())[name]
    whole = type(option.default) is int
    types = ("int64", "int32", "uint8") if whole else ("float64", "float32", "float16")
    for dtype in types:
        value = np.asarray(option.default).astype(dtype)
        if whole and value != option.default:
            continue  # too large for the type
        if value == 0 != option.default:
            continue  # too small for the type
        for given in (value, value[()]):
            check_value(name, given, *argument)
            option.checked(name, given)
    if option.accepted is None:
        return
    low = np.asarray(option.accepted.low - 1)
    for dtype in types[:2]:
        with pytest.raises(InputError, match=f"^{name}"):
            check_value(name, low.astype(dtype)[()], *argument)
        with pytest.raises(InputError, match=f"^{name}"):
            option.checked(name, low.astype(dtype)[()])
    wrong = [True, "0.1", [0.1]] if not argument.choices else []
    for value in wrong:
        with pytest.raises(InputError, match=f"^{name} must"):
            check_value(name, value, *argument)


TRANSFORMS = [row for row in OWN if row.kind == "transform"]


@pytest.mark.parametrize("row", TRANSFORMS, ids=lambda row: row.name)
def test_numbers_of_numpy_change_no_type(row):
    """State and updates keep their types when every number is one of NumPy's."""
    wraps = row.role == "wrapper"
    inner = [optax.sgd(0.1, momentum=0.9)] if wraps else []
    params = {"w": jnp.ones((4, 6), "float32"), "b": jnp.ones(6, "float32")}
    grad_fn = jaxopt_lab.batch_grad(
        lambda p, x: jnp.sum(jnp.tanh(x @ p["w"] + p["b"][None])),
        jnp.ones((4, 4), "float32"),
        example_losses=lambda p, x: jnp.sum(jnp.tanh(x @ p["w"] + p["b"][None]), -1),
    )

    def shapes(options):
        tx = optax.with_extra_args_support(row.load()(*inner, **options))

        def step(params):
            state = tx.init(params)
            return tx.update(params, state, params, grad_fn=grad_fn)

        return jax.eval_shape(step, params)

    plain = row.defaults()
    numbers = {
        name: _numpy(value) if type(value) in (int, float) else value
        for name, value in plain.items()
    }
    assert shapes(numbers) == shapes(plain)
