"""The checks of layers, beside the common ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from battery.layer.subject import LayerSubject
from battery.parts.common import register_common
from battery.parts.compare import TIGHT, assert_close, assert_equal, assert_finite
from battery.registry import check
from jaxopt_lab.core.errors import InputError

register_common(LayerSubject)


@check("layer")
def evaluation(subject: LayerSubject) -> None:
    """In evaluation no example depends on others, and no call on one before."""
    found = subject.values["evaluation"]
    assert_close(*found["beside"], "evaluation depends on the batch", **TIGHT)
    assert_equal(*found["state"], "evaluation changes the state")
    assert_equal(*found["order"], "evaluation depends on the call before")


@check("layer")
def state_types(subject: LayerSubject) -> None:
    """Structure, shapes and types of the state stay."""
    for train in (True, False):
        before, after = subject.state_types(train)
        assert jax.tree.structure(before) == jax.tree.structure(after), (
            "the state changes its structure"
        )
        for (path, a), b in zip(
            jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True
        ):
            one, two = ((x.shape, x.dtype, x.weak_type) for x in (a, b))
            name = jax.tree_util.keystr(path)
            assert one == two, f"state {name}: {one} becomes {two}"
    kept = jax.tree.leaves(before)
    claimed = subject.row.state != "none"
    assert bool(kept) == claimed, f"the row says state={subject.row.state!r}"


@check("layer")
def alone(subject: LayerSubject) -> None:
    """One example is as in the batch, unless the row says that examples couple."""
    one, batch = subject.values["alone"]
    if not subject.row.couples_examples:
        assert_close(one, batch, "an example depends on the others", **TIGHT)
        return
    gaps = [
        np.max(np.abs(a - b))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(batch), strict=True)
    ]
    assert max(gaps) > 1e-9, "the row says that examples couple; they do not"


@check("layer")
def positions(subject: LayerSubject) -> None:
    """A position is as before any others, unless the row says that they couple."""
    beside, plain = subject.values["positions"]
    row = subject.row
    if not row.couples_positions and row.couples_examples in (False, "at a position"):
        assert_close(beside, plain, "a position depends on later ones", **TIGHT)
        return
    gaps = [
        np.max(np.abs(a - b))
        for a, b in zip(jax.tree.leaves(beside), jax.tree.leaves(plain), strict=True)
    ]
    assert max(gaps) > 1e-9, "the row says that positions couple; they do not"


@check("layer")
def padding(subject: LayerSubject) -> None:
    """Masked examples, whatever they hold, change nothing and give zeros."""
    found = subject.values["padded"]
    plain, unmasked = found["padding"][0][0], subject.values["plain"]
    assert_close(unmasked, plain, "a mask of ones changes something", **TIGHT)
    assert_close(*found["padding"], "padding changes something", **TIGHT)
    assert_close(*found["inside"], "a masked example is seen", **TIGHT)
    assert_finite(found["inside"], "with a masked example")
    for leaf in jax.tree.leaves(found["tail"]):
        assert not np.any(leaf), "the output of padding is not zero"


@check("layer")
def residual_bytes(subject: LayerSubject) -> None:
    """The gradient keeps as many bytes per element of the input as the row says."""
    measured = subject.residual_bytes()
    claimed = subject.documented_bytes()
    close = 0.85 * claimed <= measured <= 1.1 * claimed
    assert close, f"{measured:.2f} bytes an element are kept; the row says {claimed}"


@check("layer")
def complex_numbers(subject: LayerSubject) -> None:
    """Complex parameters and states are refused in one line, or stay complex."""
    for where, result in subject.complex_results():
        if isinstance(result, InputError):
            assert "\n" not in str(result), f"several lines about {where}: {result}"
            continue
        kept = any(jnp.iscomplexobj(x) for x in jax.tree.leaves(result))
        assert kept, f"the imaginary parts of {where} are dropped without a word"


@check("layer", lambda row: "norm" in row.replaces)
def large_mean(subject: LayerSubject) -> None:
    """A mean of a thousand deviations spoils neither statistics nor outputs.

    Those of bfloat16 inputs are taken in float32, and the variance about the mean.
    """
    words = "with a large mean it is far from float64"
    for found, expected in subject.values["large_mean"]:
        assert_close(found, expected, words, rtol=1e-3, atol=2e-3)


@check("layer")
def divided_batch(subject: LayerSubject) -> None:
    """With the batch divided over an axis, outputs and state are the global ones."""
    found, whole = subject.values["divided"], subject.values["plain"]
    assert_close(found["y"], whole["y"], "on an axis the output differs", **TIGHT)
    for state in found["states"]:
        assert_close(state, whole["state"], "on an axis the state differs", **TIGHT)


@check("layer", lambda row: row.state != "none")
def first_pass(subject: LayerSubject) -> None:
    """A step of SAM keeps the state of its first pass."""
    kept, expected = subject.values["first_pass"]
    assert_close(kept, expected, "SAM keeps another state", **TIGHT)


@check("layer")
def nnx_module(subject: LayerSubject) -> None:
    """As a flax nnx module it is the core."""
    _same(subject.values["nnx"])


@check("layer", tier=lambda row: "plain" if row.name == LayerSubject.first else "full")
def linen_module(subject: LayerSubject) -> None:
    """As a flax linen module it is the core."""
    _same(subject.rare["linen"])


def _same(found: dict) -> None:
    module, core = found["variables"]
    shapes = [jax.tree.map(np.shape, tree) for tree in (module, core)]
    assert shapes[0] == shapes[1], f"the module's variables are {shapes[0]}"
    for mode in ("training", "evaluation"):
        assert_close(*found[mode], f"the module's {mode} differs", **TIGHT)
