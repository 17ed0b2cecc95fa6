"""The row of a gradient transformation."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from jaxopt_lab.catalog.part import Part, loaded
from jaxopt_lab.catalog.ranges import Range
from jaxopt_lab.core.errors import InputError

Role = Literal["optimizer", "link", "last link", "wrapper"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform(Part):
    """A row of ``x(...) -> optax.GradientTransformationExtraArgs``.

    Attributes:
      family: the room it lives in; of a foreign row, that of its own house.
      role: ``"optimizer"``; ``"link"``, which goes first in a chain and needs an
        optimizer behind it; ``"last link"``, which goes behind one; or ``"wrapper"``,
        which owns an optimizer, the inner one, as its first argument.
      gradients: gradient evaluations of the whole batch per step, at the defaults; of
        a method that takes more in some steps, those of such a step.
      state_bytes: bytes of state per float32 parameter, an expression in the options;
        of a wrapper, beyond those of the inner optimizer.
      temp_bytes: bytes of temporaries per float32 parameter in one compiled,
        donated update, not counting the gradients; an expression in the options. On
        CPU.
      tpu_temp_bytes: the same of a whole train step by the compiler for a TPU v5e, the
        gradients among them, of a network that is large beside the fast memory; empty:
        not known.
      origin: ``"optax"`` for a foreign row; empty for ours.
      needs: extra arguments of ``update`` beyond the gradients; ``"shards"``: a
        ``grad_fn`` that knows its batch; ``"momentum"``: an inner optimizer with one.
      gradients_formula: their average per step as an expression in the options, where
        it depends on them.
      state_text: ``state_bytes`` in short, for tables; empty: the expression itself.
      eval_params: ``"module:attribute"`` of ``eval_params(params, state)``, the
        parameters to evaluate at, for methods that keep others; empty: the parameters.
      factored_state: regular expression on the paths of state leaves that hold factors
        of a whole matrix; they are sharded independently of the parameter.
      whole_state: likewise of the leaves that a step needs whole, more than once, so
        that a divided state is gathered before it.
      elementwise: its update of an element needs no other element, so that a device
        may update a part of a parameter by itself.
      differentiable: its updates are differentiable functions of gradients,
        parameters and hyper-parameters, so that finite differences agree.
      ranges: intervals over which options are tuned that are not those of their names
        (``catalog.ranges``); ``None``: such an option is not tuned.
    """

    kind: ClassVar[str] = "transform"

    family: str
    role: Role
    gradients: int
    state_bytes: str
    temp_bytes: str
    tpu_temp_bytes: str = ""
    origin: str = ""
    needs: frozenset[str] = frozenset()
    gradients_formula: str = ""
    state_text: str = ""
    eval_params: str = ""
    factored_state: str = ""
    whole_state: str = ""
    elementwise: bool = False
    differentiable: bool = True
    ranges: Mapping[str, Range | None] = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether the method is ours, not another library's."""
        return not self.origin

    @property
    def eval_params_fn(self) -> Callable[[Any, Any], Any] | None:
        """The function that ``eval_params`` names; ``None`` if it names none."""
        return loaded(self.eval_params) if self.eval_params else None

    def make(self, *arguments: Any, **options: Any) -> Any:
        """The transformation with these options, defaults for the others.

        Args:
          *arguments: none.
          **options: values by name.

        Returns:
          The transformation.

        Raises:
          InputError: an unknown name, a value out of range, or the method is a
            wrapper.

        >>> from jaxopt_lab import catalog
        >>> tx = catalog.get("momentum").make(learning_rate=0.1)
        """
        self._refuse_wrapper("make")
        return super().make(*arguments, **options)

    def wrap(self, inner: Any, **options: Any) -> Any:
        """A wrapper around an optimizer, numeric options in the state.

        Args:
          inner: the optimizer to own.
          **options: values by name, defaults for the others.

        Returns:
          ``optax.inject_hyperparams`` of the method.

        Raises:
          InputError: the method is no wrapper, an unknown name, or a value out of
            range.

        >>> import optax
        >>> from jaxopt_lab import catalog
        >>> tx = catalog.get("lookbehind").wrap(optax.sgd(0.1), k=5)
        """
        if self.role != "wrapper":
            raise InputError(f"{self.name} is no wrapper but one {self.role}")
        return self._injected()(inner, **self.checked(options))

    def inject(self, **options: Any) -> Any:
        """Like ``make``, with the numeric options in the state, for the log.

        Args:
          **options: values by name.

        Returns:
          ``optax.inject_hyperparams`` of the method, static options filled in.

        Raises:
          InputError: an unknown name, a value out of range, or the method is a
            wrapper.

        >>> import jax.numpy as jnp
        >>> from jaxopt_lab import catalog
        >>> state = catalog.get("sam").inject(rho=0.1).init(jnp.ones(2))
        >>> round(float(state.hyperparams["rho"]), 3)
        0.1
        """
        self._refuse_wrapper("inject")
        return self._injected()(**self.checked(options))

    def _injected(self) -> Callable[..., Any]:
        from jaxopt_lab.core.injection import inject_hyperparams

        # An argument that is no option of the row keeps its default, untraced.
        names = inspect.signature(self.load()).parameters
        return inject_hyperparams(self.load(), frozenset(names) - {*self.numeric})

    def gradients_per_step(self, **options: Any) -> float:
        """Gradient evaluations of the whole batch per step, on average.

        Args:
          **options: values of the options that the number depends on.

        Returns:
          The number.

        >>> from jaxopt_lab import catalog
        >>> catalog.get("lookbehind").gradients_per_step(k=5)
        6.0
        """
        return self._value_of(self.gradients_formula or str(self.gradients), options)

    def bytes_per_parameter(self, what: str = "state", **options: Any) -> float:
        """The documented bytes per float32 parameter.

        Args:
          what: ``"state"``, ``"temp"`` or ``"tpu_temp"``.
          **options: values of the options that the formula depends on.

        Returns:
          Bytes per parameter.
        """
        formula = {
            "state": self.state_bytes,
            "temp": self.temp_bytes,
            "tpu_temp": self.tpu_temp_bytes,
        }[what]
        return self._value_of(formula, options)

    def _refuse_wrapper(self, instead_of: str) -> None:
        if self.role == "wrapper":
            raise InputError(
                f"{self.name} owns an optimizer: use wrap(inner, ...) instead of "
                f"{instead_of}"
            )

    def _value_of(self, formula: str, options: Mapping[str, Any]) -> float:
        # The formulas are literals of the catalog, never input.
        return float(eval(formula, {"__builtins__": {}}, self.checked(options)))
