"""Hessian products of PyHessian and curvlinops, on the dense network's weights.

Neither is a dependency: install torch with either by hand to measure it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core.typing import PyTree

_NEEDS = {
    "PyHessian (data loader)": ("torch", "pyhessian"),
    "curvlinops": ("torch", "curvlinops"),
}
Product = Callable[[PyTree], list[np.ndarray]]


def missing(name: str) -> str | None:
    """The first package that a peer needs and that is not there.

    Args:
      name: key of ``PEERS``.

    Returns:
      Its name, or None.
    """
    for package in _NEEDS[name]:
        if importlib.util.find_spec(package) is None:
            return package
    return None


def _flat(params: PyTree) -> list[np.ndarray]:
    """Kernels and biases in torch's order and layout."""
    layers = [params[f"layer{i}"] for i in range(len(params))]
    return [a for x in layers for a in (np.array(x["kernel"].T), np.array(x["bias"]))]


def _network(params: PyTree) -> Any:
    torch = importlib.import_module("torch")

    modules: list[Any] = []
    arrays = _flat(params)
    for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
        modules += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*modules[:-1])


def _data(batch: dict[str, Array]) -> list[Any]:
    torch = importlib.import_module("torch")

    x, y = np.array(batch["x"]), np.array(batch["y"])
    return [(torch.tensor(x), torch.tensor(y, dtype=torch.int64))]


def pyhessian_product(params: PyTree, batch: dict[str, Array]) -> Product:
    """Product of PyHessian in its data-loader mode.

    Args:
      params: weights of the dense network.
      batch: the one batch of the loader.

    Returns:
      ``product(v) -> H v`` as arrays in torch's order.
    """
    pyhessian = importlib.import_module("pyhessian")
    torch = importlib.import_module("torch")

    computer = pyhessian.hessian(
        _network(params),
        torch.nn.CrossEntropyLoss(),
        dataloader=_data(batch),
        cuda=False,
    )

    def product(v: PyTree) -> list[np.ndarray]:
        vector = [torch.tensor(a) for a in _flat(v)]
        return [x.detach().numpy() for x in computer.dataloader_hv_product(vector)[1]]

    return product


def curvlinops_product(params: PyTree, batch: dict[str, Array]) -> Product:
    """Product of curvlinops' Hessian operator.

    Args:
      params: weights of the dense network.
      batch: the one batch of the data.

    Returns:
      ``product(v) -> H v`` as arrays in torch's order.
    """
    curvlinops = importlib.import_module("curvlinops")
    torch = importlib.import_module("torch")

    network = _network(params)
    operator = curvlinops.HessianLinearOperator(
        network,
        torch.nn.CrossEntropyLoss(),
        list(network.parameters()),
        _data(batch),
        check_deterministic=False,
    )

    def product(v: PyTree) -> list[np.ndarray]:
        found = operator @ [torch.tensor(a) for a in _flat(v)]
        return [x.detach().numpy() for x in found]

    return product


def check(found: list[np.ndarray], expected: PyTree) -> None:
    """Stop if a peer's product is another matrix's.

    Args:
      found: what the peer gave.
      expected: ours.
    """
    ours = _flat(jax.tree.map(jnp.asarray, expected))
    for a, b in zip(found, ours, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * float(np.max(np.abs(b))))


PEERS: dict[str, Callable[[PyTree, dict[str, Array]], Product]] = {
    "PyHessian (data loader)": pyhessian_product,
    "curvlinops": curvlinops_product,
}
