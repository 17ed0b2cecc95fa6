"""Quantizing the matrices of a whole model."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.quantize.fake_quant import first_matches
from jaxopt_lab.quantize.input_grams import gram_function, order_of_use
from jaxopt_lab.quantize.kernel_matrix import from_matrix, to_matrix
from jaxopt_lab.quantize.report import QuantizerReport, check_values

Apply = Callable[[Params, Batch], Any]
# The codes have dequantize().
Quantize = Callable[..., tuple[Any, QuantizerReport]]


class Rule(NamedTuple):
    """Quantization of the leaves whose paths match a pattern.

    Attributes:
      pattern: regular expression, searched in the path of a leaf (``"layer/kernel"``).
      quantize: ``q(weight, gram, codec) -> (QArray, report)``, or other codes with
        ``dequantize()``; ``None``: the leaf stays.
      codec: its grid, or the name of one.
    """

    pattern: str
    quantize: Quantize | None
    codec: Any = "linear"


class QuantizedParams(NamedTuple):
    """The report of ``quantize_params``.

    Attributes:
      layers: the quantized leaves by path: codes of ``(outputs, inputs)``, mostly a
        ``QArray``, and report.
      output_error: squared difference of the model's outputs over all batches, relative
        to the outputs; NaN without batches.
      nbytes: bytes of all parameters, the quantized ones as codes.
      nbytes_before: bytes of all parameters before.
    """

    layers: Mapping[str, tuple[Any, QuantizerReport]]
    output_error: float
    nbytes: int
    nbytes_before: int


def quantize_params(
    apply: Apply,
    params: Params,
    rules: Sequence[tuple[Any, ...]],
    batches: Iterable[Batch] = (),
    *,
    in_order: bool = True,
    progress: Callable[[str], Any] | None = None,
) -> tuple[Params, QuantizedParams]:
    r"""Quantize the leaves of a model that rules find, first layers first.

    A leaf belongs to the first rule whose pattern its path contains. Its last axis is
    the outputs, all others together the inputs, as in Flax. Leaves of fewer than two
    axes stay as they are, and so do leaves without a rule.

    Args:
      apply: ``apply(params, batch) -> outputs``, the model in evaluation mode.
      params: its parameters.
      rules: ``Rule`` or ``(pattern, quantize, codec)``, the first match counts.
      batches: calibration batches, of one shape or few; they give the gram matrix of
        each matrix product's inputs and the error of the outputs. Empty: no gram
        matrix, no output error.
      in_order: the inputs of a layer are those that the layers before, quantized
        already, give; one pass over the batches for each. Otherwise those of the
        unquantized model, one pass for all.
      progress: called with the path of every leaf before it is quantized.

    Returns:
      Parameters of the same shapes and types, their quantized leaves on the grid
      (``apply`` takes them as before), and the report with the codes.

    Raises:
      InputError: a rule matches no leaf, a batch has no examples, a leaf is not finite
        or a quantizer refuses one, of which the message names the path.

    Memory: one gram matrix of float32 for each quantized matrix.

    >>> from jaxopt_lab.quantize import LinearGrid, round_to_nearest
    >>> params = {"kernel": jnp.array([[1.0], [0.3]]), "bias": jnp.zeros(1)}
    >>> model = lambda p, x: x @ p["kernel"] + p["bias"]
    >>> rules = [("kernel", round_to_nearest, LinearGrid(bits=2))]
    >>> coarse, report = quantize_params(model, params, rules, [jnp.eye(2)])
    >>> coarse["kernel"].ravel().tolist(), report.nbytes, report.nbytes_before
    ([1.0, 0.0], 9, 12)
    """
    rules = [Rule(*rule) for rule in rules]
    leaves = {
        trees.path_name(path): leaf for path, leaf in trees.leaves_with_path(params)
    }
    chosen = _chosen(rules, leaves)
    batches = list(batches)
    if any(jnp.size(x) == 0 for x in jax.tree.leaves(batches)):
        raise InputError("a calibration batch has no examples; leave it out")
    structure = jax.tree.structure(params)
    used = order_of_use(apply, chosen, params, batches[0]) if batches else []
    grams_of = gram_function(apply, used)

    def all_grams() -> dict[str, jax.Array]:
        current = jax.tree.unflatten(structure, list(leaves.values()))
        grams: dict[str, jax.Array] = {}
        for batch in batches:
            for name, gram in grams_of(current, batch).items():
                grams[name] = grams[name] + gram if name in grams else gram
        return grams

    layers, nbytes = {}, trees.nbytes(params)
    once = {} if in_order else all_grams()
    for name in [*used, *(n for n in chosen if n not in used)]:
        if progress is not None:
            progress(name)
        rule, leaf = chosen[name], leaves[name]
        assert rule.quantize is not None
        gram = (all_grams() if in_order and name in used else once).get(name)
        try:
            check_values("the model", weight=leaf)
            coded, report = rule.quantize(to_matrix(leaf), gram, rule.codec)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        layers[name] = coded, report
        leaves[name] = from_matrix(coded.dequantize(), leaf)
        nbytes += report.nbytes - trees.nbytes(leaf)
    quantized = jax.tree.unflatten(structure, list(leaves.values()))
    error = _output_error(apply, params, quantized, batches)
    return quantized, QuantizedParams(layers, error, nbytes, trees.nbytes(params))


def _chosen(rules: Sequence[Rule], leaves: Mapping[str, Any]) -> dict[str, Rule]:
    matches = first_matches([rule.pattern for rule in rules], list(leaves))
    chosen = {name: rules[i] for name, i in matches.items()}
    return {
        name: rule
        for name, rule in chosen.items()
        if rule.quantize is not None and jnp.ndim(leaves[name]) >= 2
    }


def _output_error(
    apply: Apply, before: Params, after: Params, batches: Sequence[Batch]
) -> float:
    @jax.jit
    def squares(before: Params, after: Params, batch: Batch) -> Any:
        exact, coarse = apply(before, batch), apply(after, batch)
        apart = jax.tree.map(jnp.subtract, coarse, exact)
        return trees.global_norm(apart) ** 2, trees.global_norm(exact) ** 2

    pairs = [squares(before, after, batch) for batch in batches]
    if not pairs:
        return float("nan")
    error, size = (float(sum(pair[i] for pair in pairs)) for i in (0, 1))
    return error / size if size else error
