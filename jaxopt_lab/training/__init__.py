"""Train state, train steps on one and many devices, shardings, evaluation.

Everything heavy (flax, orbax, rich, tensorboardX) is imported where it is used, so
that importing this package loads none of it.
"""

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.meshes import make_mesh
from jaxopt_lab.training.accumulate import make_accumulation
from jaxopt_lab.training.adapters import from_linen, from_nnx
from jaxopt_lab.training.evaluate import make_evaluator
from jaxopt_lab.training.flax_loops import apply_gradients, nnx_value_and_grad
from jaxopt_lab.training.parallel import make_parallel_step
from jaxopt_lab.training.seeds import init_seeds, over_seeds, seed_keys, seed_shardings
from jaxopt_lab.training.sharding import (
    init_sharded,
    state_shardings,
    state_specs,
    storage_shardings,
)
from jaxopt_lab.training.sharding_rules import param_specs, parse_rules
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

__all__ = [
    "Functional",
    "TrainState",
    "TrainStep",
    "apply_gradients",
    "from_linen",
    "from_nnx",
    "init_seeds",
    "init_sharded",
    "init_state",
    "make_accumulation",
    "make_evaluator",
    "make_mesh",
    "make_parallel_step",
    "make_train_step",
    "nnx_value_and_grad",
    "over_seeds",
    "param_specs",
    "parse_rules",
    "seed_keys",
    "seed_shardings",
    "state_shardings",
    "state_specs",
    "storage_shardings",
]
