"""The axes of the models' parameters that a narrower network is the first part of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxopt_lab.core.errors import InputError

Axes = Mapping[str, tuple[str | None, ...]]
_W = "width"


def _perceptron(config: Any) -> Axes:
    hidden = {
        "hidden/0/kernel": (None, _W),
        "hidden/[1-9]": (_W, _W),
        "hidden/[0-9]+/bias": (_W,),
    }
    if config.depth < 2:
        del hidden["hidden/[1-9]"]
    else:
        # The first pattern that fits counts.
        hidden = {"hidden/[0-9]+/bias": (_W,), **hidden}
    return hidden | {"head/kernel": (_W, None)}


def _convolutions(config: Any) -> Axes:
    found: dict[str, tuple[str | None, ...]] = {"(convs/[0-9]+|dense)/bias": (_W,)}
    found["convs/0/kernel"] = (None, None, None, _W)
    if len(config.channels) > 1:
        found["convs/[0-9]+/kernel"] = (None, None, _W, _W)
    # Its inputs are places and channels in one axis; those left out are 0.
    found["dense/kernel"] = (None, _W)
    return found | {"head/kernel": (_W, None)}


def _residual(config: Any) -> Axes:
    del config
    return {
        "stem/kernel": (None, None, None, _W),
        "head/kernel": (_W, None),
        "kernel": (None, None, _W, _W),
        "norm.*/(scale|bias|mean|var)": (_W,),
    }


_AXES: Mapping[str, tuple[Callable[[Any], Axes], str]] = {
    "mlp": (_perceptron, ""),
    "convnet": (_convolutions, "none"),
    **dict.fromkeys(("resnet18", "resnet20", "resnet50"), (_residual, "batch")),
    "wide_resnet": (_residual, "batch"),
}


def of_model(model: Any, config: Any) -> Axes:
    """The axes of a model that widths cut, as ``layers.mask_params`` takes them.

    Args:
      model: its row.
      config: its options.

    Returns:
      Kinds of axes by regular expressions of the paths of parameters.

    Raises:
      InputError: they are not known, or a layer of the catalog would mix the units that
        are left with those that are not.
    """
    if model.name not in _AXES:
        raise InputError(
            f"the units of model {model.name} cannot be cut; accepted: "
            f"model={', '.join(_AXES)}"
        )
    find, norm = _AXES[model.name]
    own = {"norm": norm, "activation": model.activations}
    for name, accepted in own.items():
        given, accepted = getattr(config, name, ""), accepted or ("",)
        names = (accepted,) if isinstance(accepted, str) else accepted
        if given not in names:
            raise InputError(
                f"model.{name}={given} does not go with units that are cut; accepted: "
                f"{', '.join(names)}"
            )
    return find(config)
