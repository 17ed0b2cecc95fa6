"""Bilevel optimization: derivatives through optimizers and training runs."""

from jaxopt_lab.bilevel.checkpointed_scan import checkpointed_scan
from jaxopt_lab.bilevel.differentiable import differentiable
from jaxopt_lab.bilevel.evolution import Particles
from jaxopt_lab.bilevel.first_order import constant_gradient
from jaxopt_lab.bilevel.from_train_step import from_train_step
from jaxopt_lab.bilevel.health import Health
from jaxopt_lab.bilevel.hypergradient import hypergrad
from jaxopt_lab.bilevel.implicit import implicit_solution
from jaxopt_lab.bilevel.inner import InnerProblem
from jaxopt_lab.bilevel.metalearning import adapt, anil, imaml, maml, reptile
from jaxopt_lab.bilevel.plan import UnrollPlan
from jaxopt_lab.bilevel.unroll import plan_unroll, unroll

__all__ = [
    "Health",
    "InnerProblem",
    "Particles",
    "UnrollPlan",
    "adapt",
    "anil",
    "checkpointed_scan",
    "constant_gradient",
    "differentiable",
    "from_train_step",
    "hypergrad",
    "imaml",
    "implicit_solution",
    "maml",
    "plan_unroll",
    "reptile",
    "unroll",
]
