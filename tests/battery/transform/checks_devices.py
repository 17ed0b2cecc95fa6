"""Many devices are one device."""

from __future__ import annotations

import jax

from battery.registry import check
from battery.transform import comparison
from battery.transform.deferred import tier
from battery.transform.subject import Subject
from jaxopt_lab.core import trees


@check("transform", tier=tier)
def sharded(subject: Subject) -> None:
    """Sharded over eight devices: the same, and the state lies as the parameters."""
    found = subject.sharded
    end = jax.device_get((found.params, found.state))
    comparison.assert_close(
        end, subject.value("waves"), **comparison.tolerance(subject.row)
    )
    for leaf in jax.tree.leaves(found.params):
        assert leaf.sharding.is_equivalent_to(found.split, leaf.ndim), leaf.sharding
    leaves = jax.tree.leaves(found.state)
    here = sum(x.addressable_shards[0].data.nbytes for x in leaves)
    # Keys and ages of a buffer are whole on every device, as counts are.
    small = min(p.size for p in jax.tree.leaves(found.params))
    counts = sum(x.nbytes for x in leaves if x.size < small)
    share = (trees.nbytes(found.state) - counts) / 8 + counts
    assert here <= share, f"{here} bytes of state on a device; an eighth is {share}"


@check("transform", tier=tier)
def parallel(subject: Subject) -> None:
    """Data-parallel train steps stay together and equal one device."""
    divided = "num_shards" in subject.row.details
    expected = subject.value("two shards") if divided else subject.path[1]
    for device in range(2):
        mine = jax.tree.map(lambda x, d=device: x[d], subject.value("parallel"))
        comparison.assert_close(mine, expected, **comparison.tolerance(subject.row))
