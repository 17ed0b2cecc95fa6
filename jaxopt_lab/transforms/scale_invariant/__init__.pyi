# Written by `python -m support.stubs` in tests/, from the signatures.
import optax

from jaxopt_lab.core.typing import MaskOrFn, Scalar, ScalarOrSchedule
from jaxopt_lab.transforms.scale_invariant.adamp import (
    ScaleByAdamPState,
    scale_by_adamp,
)
from jaxopt_lab.transforms.scale_invariant.invariance import scale_invariant_mask
from jaxopt_lab.transforms.scale_invariant.norms import (
    NormalizeAndProjectState,
    normalize_and_project,
)
from jaxopt_lab.transforms.scale_invariant.project_radial import project_radial
from jaxopt_lab.transforms.scale_invariant.projection import ChannelAxis
from jaxopt_lab.transforms.scale_invariant.sgdp import ScaleBySGDPState, scale_by_sgdp

__all__ = [
    "NormalizeAndProjectState",
    "ScaleByAdamPState",
    "ScaleBySGDPState",
    "adamp",
    "normalize_and_project",
    "project_radial",
    "scale_by_adamp",
    "scale_by_sgdp",
    "scale_invariant_mask",
    "sgdp",
]

def adamp(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    delta: Scalar = 0.1,
    wd_ratio: Scalar = 0.1,
    nesterov: bool = False,
    channel_axis: ChannelAxis = -1,
    mask: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs: ...
def sgdp(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarOrSchedule = 0.0,
    *,
    dampening: ScalarOrSchedule = 0.0,
    nesterov: bool = False,
    weight_decay: ScalarOrSchedule = 0.0,
    delta: Scalar = 0.1,
    wd_ratio: Scalar = 0.1,
    eps: Scalar = 1e-08,
    project_momentum: bool = False,
    channel_axis: ChannelAxis = -1,
    mask: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs: ...
