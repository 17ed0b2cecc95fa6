# What the room exports; __init__.py reads it and loads each name on first use.
from .asam import asam
from .bsam import BsamState, bsam
from .esam import EsamState, esam
from .evaluation import eval_params
from .friendly_sam import friendly_sam
from .gsam import gsam, rho_following
from .link import AverageState, SamState
from .lookahead import LookaheadState, lookahead
from .lookbehind import LookbehindState, lookbehind
from .looksam import LookSamState, looksam
from .masks import fisher_mask, norm_only
from .momentum_sam import MomentumSamState, momentum_sam
from .msam import msam
from .multistep_sam import multistep_sam
from .sam import sam
from .samson import samson
from .stale_sam import StaleSamState, stale_sam
from .vasso import vasso
from .wsam import WsamState, wsam

__all__ = [
    "AverageState",
    "BsamState",
    "EsamState",
    "LookSamState",
    "LookaheadState",
    "LookbehindState",
    "MomentumSamState",
    "SamState",
    "StaleSamState",
    "WsamState",
    "asam",
    "bsam",
    "esam",
    "eval_params",
    "fisher_mask",
    "friendly_sam",
    "gsam",
    "lookahead",
    "lookbehind",
    "looksam",
    "momentum_sam",
    "msam",
    "multistep_sam",
    "norm_only",
    "rho_following",
    "sam",
    "samson",
    "stale_sam",
    "vasso",
    "wsam",
]
