"""Controllers: settings of training that follow measured statistics, on the host."""

from jaxopt_lab.controllers.abe import (
    activation_stopping,
    validation_stopping,
)
from jaxopt_lab.controllers.augmented_test import augmented_test
from jaxopt_lab.controllers.batch_plan import BatchPlan, plan_batch
from jaxopt_lab.controllers.constant import constant
from jaxopt_lab.controllers.controller import Controller
from jaxopt_lab.controllers.coordinate_test import coordinate_test
from jaxopt_lab.controllers.gradient_variance import (
    gradient_variance,
    variance_from_norms,
    variance_of_groups,
)
from jaxopt_lab.controllers.layer_moments import (
    activation_moments,
    stopping_statistics,
    task_moments,
)
from jaxopt_lab.controllers.noise_scale_batch import noise_scale_batch
from jaxopt_lab.controllers.norm_test import norm_test
from jaxopt_lab.controllers.projected_variance import (
    coordinate_ratio,
    inner_products,
    projected_variances,
)
from jaxopt_lab.controllers.rate_by_examples import constant_rate, rate_by_examples
from jaxopt_lab.controllers.spectral_rates import constant_rates, spectral_rates
from jaxopt_lab.controllers.trajectory_scores import (
    StoppingPoint,
    critical_checkpoint,
    stopping_scores,
    validation_limit,
)

__all__ = [
    "BatchPlan",
    "Controller",
    "StoppingPoint",
    "activation_moments",
    "activation_stopping",
    "augmented_test",
    "constant",
    "constant_rate",
    "constant_rates",
    "coordinate_ratio",
    "coordinate_test",
    "critical_checkpoint",
    "gradient_variance",
    "inner_products",
    "noise_scale_batch",
    "norm_test",
    "plan_batch",
    "projected_variances",
    "rate_by_examples",
    "spectral_rates",
    "stopping_scores",
    "stopping_statistics",
    "task_moments",
    "validation_limit",
    "validation_stopping",
    "variance_from_norms",
    "variance_of_groups",
]
