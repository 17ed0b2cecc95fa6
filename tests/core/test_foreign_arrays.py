"""Tensors of other libraries: what becomes an array, and what is refused."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.foreign_arrays import as_numpy
from jaxopt_lab.data import as_dataset
from jaxopt_lab.training.sources import as_source


class Tensor:
    """As a tensor of torch: a shape, a type of its own, and ``__array__``."""

    def __init__(self, values, dtype="torch.float32", error=None):
        self.values, self.dtype, self.error = np.asarray(values), dtype, error

    @property
    def shape(self):
        return self.values.shape

    def __array__(self, dtype=None, copy=None):
        if self.error is not None:
            raise self.error
        return np.asarray(self.values, dtype)


NARROW = TypeError("Got unsupported ScalarType BFloat16")
WITH_GRADIENT = RuntimeError("Can't call numpy() on Tensor that requires grad. Use")


class Loader:
    """As a ``DataLoader``: lists of two tensors, the last batch smaller."""

    def __init__(self, make=Tensor):
        self.make = make

    def __iter__(self):
        for start in (0, 4, 8):
            count = min(4, 10 - start)
            x = np.full((count, 2), start, np.float32)
            labels = Tensor(np.arange(count) % 2, "torch.int64")
            yield [self.make(x), labels]


def test_a_tensor_is_its_values():
    found = as_numpy(Tensor([1.0, 2.0]), "x")
    assert type(found) is np.ndarray and found.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("error", [NARROW, WITH_GRADIENT])
def test_what_numpy_has_not_is_refused_in_one_line(error):
    made = lambda x: Tensor(x, "torch.bfloat16", error)
    for read in (
        lambda: as_numpy(made([1.0]), "x"),
        lambda: as_source(Loader(made)).next(),
        lambda: as_dataset((Loader(made), Loader(made))),
        lambda: as_dataset((made([[1.0]] * 4), Tensor([0, 1, 0, 1], "torch.int64"))),
    ):
        with pytest.raises(InputError, match="Tensor of torch.bfloat16 is no") as told:
            read()
        said = str(told.value)
        assert "\n" not in said and "bfloat16 as .float()" in said


def test_a_loader_is_a_data_set_and_a_source():
    dataset = as_dataset((Loader(), Loader()))
    assert dataset.train["image"].shape == (10, 2) and dataset.num_classes == 2
    held = as_dataset(Loader())
    assert len(held.train["label"]) == 8 and len(held.test["label"]) == 2
    x, y = as_source(Loader()).next()
    assert x.shape == (4, 2) and y.tolist() == [0, 1, 0, 1]
