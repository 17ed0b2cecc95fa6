"""Which kinds of values the message about an argument names."""

from typing import Annotated

import jax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Scalar, ScalarOrSchedule

Batch = Annotated[int, COUNT] | None


def function(number: float, scalar: Scalar, rate: ScalarOrSchedule, batch: Batch):
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


def test_marks_inside_of_a_union_count():
    for batch in (0, 0.5):
        with pytest.raises(InputError, match="batch must be"):
            check_arguments(function, {"batch": batch})
    check_arguments(function, {"batch": None})
    check_arguments(function, {"batch": 2})


def test_what_is_accepted_passes():
    given = {"number": 1, "scalar": jax.numpy.ones(()), "rate": lambda count: 0.1}
    check_arguments(function, given)
