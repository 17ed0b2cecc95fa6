"""Tiny inputs of layers with other parametrizations."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.examples.layers import in_groups


def kernel_inputs() -> dict[str, Any]:
    """Four examples of three positions and six features, seven random features.

    >>> kernel_inputs()["num_features"]
    7
    """
    return {"x": in_groups()["x"], "num_features": 7, "radius": 1.5}


def adapter_inputs() -> dict[str, Any]:
    """The same, with a bottleneck of three.

    >>> adapter_inputs()["size"]
    3
    """
    return {**kernel_inputs(), "size": 3}
