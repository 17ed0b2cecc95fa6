"""One dataclass of rows for each kind of part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from jaxopt_lab.catalog.part import Neutral, Part
from jaxopt_lab.catalog.schema_recipe import Recipe
from jaxopt_lab.catalog.schema_transform import Transform

__all__ = [
    "KINDS",
    "Controller",
    "DataTransform",
    "Decoder",
    "Diagnostic",
    "Estimator",
    "Initializer",
    "Layer",
    "Loss",
    "Metric",
    "Neutral",
    "Part",
    "Quantizer",
    "Recipe",
    "Replaces",
    "Search",
    "Transform",
]

Replaces = Literal[
    "norm", "activation", "dropout", "linear", "conv", "attention", "block"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer(Part):
    """A row of a layer: a pure core, and a thin ``nnx.Module`` around it.

    ``build`` names the factory ``layer(features, **options) -> Functional``, whose
    ``apply`` is ``f(params, state, x, *, train, key=None, axis_name=None, mask=None)
    -> (y, state)``; the example is ``x`` and options.

    Attributes:
      module: ``"module:attribute"`` of the ``nnx.Module``, ``module(features, *, rngs,
        **options)``.
      replaces: the places of a network that it can take.
      state: ``"none"``; ``"running"``, statistics that go on from batch to batch;
        ``"windowed"``, those of the last batches.
      couples_examples: whether the result of one example depends on the others;
        ``"at a position"``: on what they hold at the position of the result, as in
        attention over the batch, and not on other positions.
      couples_positions: whether the result at one position of an example depends on
        later ones; so it is where examples couple, unless at a position.
      matrices: whether the last two axes of the input are a square matrix.
      residual_bytes: bytes that the backward pass keeps per element of the input, an
        expression in the options.
      passes: passes of a training call, forward, over arrays of the size of the input,
        as the published formulas say them: a mean, a variance about it and the result
        of batch normalization are 3. 0: not counted.
      gradient: ``"exact"``, that of the value; ``"rounded"``, from residuals that are
        stored rounded; ``"sampled"``, random, with that of the value as its mean;
        ``"own"``, with respect to the input that of a rule of its own, and with respect
        to the parameters that of the value.
    """

    kind: ClassVar[str] = "layer"

    module: str
    replaces: tuple[Replaces, ...]
    state: Literal["none", "running", "windowed"] = "none"
    couples_examples: bool | Literal["at a position"] = False
    couples_positions: bool = False
    matrices: bool = False
    residual_bytes: str = ""
    passes: int = 0
    gradient: Literal["exact", "rounded", "sampled", "own"] = "exact"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Part):
    """A row of a loss, ``loss(outputs, targets, *, where=None, ...) -> (examples,)``.

    The example is ``outputs``, ``targets``, further arrays and options by name, and
    ``perfect``, the outputs of the perfect answer.

    Attributes:
      couples: it couples the examples of a batch and returns a scalar.
      stateful: ``build`` names a factory ``loss(**options) -> StatefulLoss`` with
        ``init(example) -> state`` and ``apply(state, ...) -> (losses, state)``.
      regularizer: ``r(activations or params) -> scalar``.
      aligned: further arrays of the example whose first axis is that of the examples.
      lower_bound: no value is below it.
      perfect: the value at the perfect answer; ``None``: it depends on the inputs.
      invariance: changes of the outputs that leave it as it is, in words, separated by
        semicolons.
      constant_factors: factors that its gradient holds constant, in words: the gradient
        is then not that of the value, and finite differences say nothing.
    """

    kind: ClassVar[str] = "loss"

    couples: bool = False
    stateful: bool = False
    regularizer: bool = False
    aligned: tuple[str, ...] = ()
    lower_bound: float = float("-inf")
    perfect: float | None = None
    invariance: str = ""
    constant_factors: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric(Part):
    """A row of a metric: mergeable sums, or a measure of two sets.

    ``build`` names a factory ``metric(**options) -> MergeableMetric``. The example is
    the batch, options, and ``best`` and ``worst``, outputs at the ends of the range (or
    dicts of outputs and targets).

    Attributes:
      range: least and greatest value.
      direction: which values are better.
      mergeable: it has ``update``, ``merge`` and ``compute``; else it is a set metric
        ``m(a, b, *, key, block)``.
      reference: what its values are compared with.
    """

    kind: ClassVar[str] = "metric"

    range: tuple[float, float]
    direction: Literal["higher", "lower"]
    mergeable: bool = True
    reference: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnostic(Part):
    """A row of a measurement with an error, ``d(...) -> NamedTuple(value, error)``.

    Attributes:
      cost: products with an operator or passes over the data, in words or a formula.
      error: meaning of the error (standard error, bound, ...).
    """

    kind: ClassVar[str] = "diagnostic"

    cost: str
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantizer(Part):
    """A row of a quantizer, or of merging and pruning.

    Attributes:
      bits: bits per weight, an expression in the options.
      calibration: it needs activations.
      bytes: bytes per parameter of the result, scales included; an expression.
      never_worse_than: row whose error on the calibration set is never exceeded.
      nearest: of a codebook, whose values are no equal steps, options at which each
        weight has its nearest codeword; its codes have ``words()``. Empty: a grid.
    """

    kind: ClassVar[str] = "quantizer"

    bits: str
    calibration: bool
    bytes: str
    never_worse_than: str = ""
    nearest: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controller(Part):
    """A row of a host-side rule, ``decide(stats, state) -> (decision, state)``.

    Attributes:
      reads: names of the statistics.
      decides: the decision, in words.
      period: steps between two decisions, an expression in the options.
    """

    kind: ClassVar[str] = "controller"

    reads: tuple[str, ...]
    decides: str
    period: str = "1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoder(Part):
    """A row of ``decode(model_step, params, prompt, *, cache, key, ...)``.

    Attributes:
      exact_when: settings under which it has the distribution (or is the maximum) of
        the model exactly.
      model: predicts the next token, masked tokens of a whole row, or the tokens after
        each of a chunk; or the next token by layers that may be skipped.
      per_call: option that bounds the new tokens of a row in one call of the model, but
        for one; empty where it is one token.
    """

    kind: ClassVar[str] = "decoder"

    exact_when: str
    model: Literal["next", "masked", "chunk", "layers"] = "next"
    per_call: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search(Part):
    """A row of ``ask(state, key) -> candidate``, ``tell(state, candidate, score)``.

    Attributes:
      space: the candidates, in words.
      budget: number of evaluations that it is meant for.
      several: whether ``tell`` takes a list of scores, all to be large, as well.
    """

    kind: ClassVar[str] = "search"

    space: str
    budget: str
    several: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataTransform(Part):
    """A row of ``t(key, batch) -> batch``.

    Attributes:
      changes_shapes: shapes of the arrays in the batch change.
      keeps_labels: labels stay as they are.
    """

    kind: ClassVar[str] = "data transform"

    changes_shapes: bool = False
    keeps_labels: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimator(Part):
    """A row of ``fit(data, *, where=None, key=None) -> Fitted``.

    ``build`` names ``fit``. The example is ``data``, ``inputs`` of ``apply``, options,
    and ``degenerate``, a dict of data that hardly determine anything.

    Attributes:
      apply: ``"module:attribute"`` of ``apply(fitted, inputs)``.
      form: solved in closed form, or compared with an oracle.
      monotone: the quantity that more iterations never make worse, if any.
    """

    kind: ClassVar[str] = "estimator"

    apply: str
    form: Literal["closed form", "oracle"]
    monotone: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Initializer(Part):
    """A row of ``init(key, shape, dtype)`` as jax's.

    Attributes:
      moments: mean, variance and kurtosis of an entry, a formula of ``inputs`` and
        ``outputs``, the sizes of a matrix.
      spectrum: its least and largest singular value for many numbers, likewise, up to
        a tenth of the largest; ``sqrt`` and ``abs`` are known.
    """

    kind: ClassVar[str] = "initializer"

    moments: str
    spectrum: str = ""


KINDS: Mapping[str, type[Part]] = MappingProxyType(
    {
        row.kind: row
        for row in (
            Transform,
            Layer,
            Loss,
            Metric,
            Diagnostic,
            Quantizer,
            Controller,
            Recipe,
            Decoder,
            Search,
            DataTransform,
            Estimator,
            Initializer,
        )
    }
)
