"""Which kinds of values the message about an argument names."""

import jax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.core.typing import Scalar, ScalarOrSchedule


def function(number: float, scalar: Scalar, rate: ScalarOrSchedule):
    """One argument of each kind."""


@pytest.mark.parametrize(
    "name, words",
    [
        ("number", "number must be a number; got"),
        ("scalar", "scalar must be a number or a scalar array; got"),
        ("rate", "rate must be a number, a scalar array or a schedule; got"),
    ],
)
def test_kinds_of_a_number(name, words):
    given = {"number": 1.0, "scalar": 1.0, "rate": 1.0, name: "0.1"}
    with pytest.raises(InputError) as caught:
        check_arguments(function, given)
    assert str(caught.value).startswith(words)


def test_what_is_accepted_passes():
    given = {"number": 1, "scalar": jax.numpy.ones(()), "rate": lambda count: 0.1}
    check_arguments(function, given)
