"""The contract between a run of the lab and a recipe that is more than one model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Option

if TYPE_CHECKING:
    from jaxopt_lab.catalog.schema import Recipe
    from jaxopt_lab.data.dataset import Dataset
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.prepared_recipe import Prepared
    from jaxopt_lab.lab.run_view import RunView
    from jaxopt_lab.lab.task_data import TaskData
    from jaxopt_lab.plotting import Section

Options = Mapping[str, Any]
Make = Callable[[tuple[int, ...], int], Functional]
"""``make(shape, outputs)``, the run's model for inputs of this shape."""


class Given(NamedTuple):
    """The parts of a run that a recipe is made of.

    Attributes:
      row: the recipe.
      options: of the recipe and of its adapter, by name.
      configuration: the run.
      network: of ``Adapter.network``, as it is trained.
      make: makes further networks, as they are trained.
      tx: the optimizer.
      loaded: the data.
    """

    row: Recipe
    options: Options
    configuration: Configuration
    network: Functional
    make: Make
    tx: Any
    loaded: TaskData

    def of_step(self, *left_out: str) -> dict[str, Any]:
        """The checked options of the recipe's step.

        Args:
          *left_out: names of those that the adapter sets.

        Returns:
          Values by name.
        """
        own = {n: v for n, v in self.options.items() if n in self.row.options}
        checked = self.row.checked(own)
        return {n: v for n, v in checked.items() if n not in left_out}


class Adapter(NamedTuple):
    """A recipe's needs of a run, and what the run says of it.

    The plain adapter, without arguments, is that of a classifier.

    Attributes:
      options: options of a run beside those of the recipe's step, by name.
      sets: options of the step that the run sets, so that none is offered.
      known: further arguments of the step that the adapter knows.
      network: ``network(make, shape, classes, options)``, the network that is drawn and
        tested; ``None``: the run's model.
      prepare: of ``Given``, the recipe; ``None``: one model with other outputs.
      check: refuses options that would do nothing or do not fit.
      data: ``data(dataset, options)``, the set of the run, changed as soon as it is
        read; ``None``: as it is.
      score: the result of a test by which states are compared, the larger the better.
      classifies: whether what is tested gives logits of the classes.
      apart: why its runs are not compared, tuned or searched over; empty: they are.
      losses: panels of the page beside those of every run: a label, and the names of
        training records in it.
      scores: results of a test that the summary and the page have, as shares.
      figures: of the records and the run, further figures of the summary.
      sections: further sections of the page.
      samples: ``samples(run, count, key)``, examples of a generator.
    """

    options: Mapping[str, Option] = MappingProxyType({})
    sets: Collection[str] = ()
    known: Collection[str] = ()
    network: Callable[[Make, tuple[int, ...], int, Options], Functional] | None = None
    prepare: Callable[[Given], Prepared] | None = None
    check: Callable[[Configuration], None] = lambda configuration: None
    data: Callable[[Dataset, Options], Dataset] | None = None
    score: str = "accuracy"
    classifies: bool = True
    apart: str = ""
    losses: Mapping[str, Sequence[str]] = MappingProxyType({})
    scores: Sequence[str] = ()
    figures: Callable[[Sequence[Any], Configuration], dict[str, Any]] = (
        lambda records, configuration: {}
    )
    sections: Callable[[RunView], list[Section]] = lambda run: []
    samples: Callable[[RunView, int, jax.Array], jax.Array] | None = None


PLAIN = Adapter()
"""Of a classifier."""
