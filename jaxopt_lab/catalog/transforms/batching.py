"""The rows of methods that follow the noise of the batch."""

from __future__ import annotations

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform

ROWS = (
    Transform(
        name="agvm",
        family="batching",
        role="wrapper",
        summary="a learning rate for each module, by the noise of its gradient",
        build="jaxopt_lab.transforms.batching:agvm",
        reduces_to=Neutral({"start": 10**9}, "inner", "the scales stay at 1"),
        topic="large batches",
        options=("interval", "start", "momentum", "lowest", "highest", "eps"),
        gradients=2,
        gradients_formula="1 + 1 / interval",
        state_bytes="0",
        temp_bytes="8",
        tpu_temp_bytes="1.4",
        needs=frozenset({"params", "shards"}),
        vectors="agvm",
        paper="Xue et al. 2022, arXiv:2210.11078",
        code="Sense-X/AGVM",
    ),
)
