"""jaxopt_lab: methods of the literature as composable optax transformations."""

from jaxopt_lab._version import __version__
from jaxopt_lab.gradients import batch_grad
from jaxopt_lab.injection import inject_hyperparams
from jaxopt_lab.masking import masked, partition
from jaxopt_lab.sharpness import sam

__all__ = [
    "__version__",
    "batch_grad",
    "inject_hyperparams",
    "masked",
    "partition",
    "sam",
]
