"""Controllers: settings of training that follow measured statistics, on the host."""

from jaxopt_lab.controllers.batch_plan import BatchPlan, plan_batch
from jaxopt_lab.controllers.constant import constant
from jaxopt_lab.controllers.controller import Controller
from jaxopt_lab.controllers.gradient_variance import (
    gradient_variance,
    variance_from_norms,
    variance_of_groups,
)
from jaxopt_lab.controllers.norm_test import norm_test

__all__ = [
    "BatchPlan",
    "Controller",
    "constant",
    "gradient_variance",
    "norm_test",
    "plan_batch",
    "variance_from_norms",
    "variance_of_groups",
]
