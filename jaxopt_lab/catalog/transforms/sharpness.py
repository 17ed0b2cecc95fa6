"""The rows of the sharpness-aware methods."""

from __future__ import annotations

import math
from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform
from jaxopt_lab.core.options import NON_NEGATIVE, Interval, Option

_UNIT = Interval(0.0, 1.0)
_COUNT = Interval(1)


def _rho(default: float) -> Option:
    return Option(default, "radius of the ascent, in units of the norm", NON_NEGATIVE)


_NORM_OVER = Option(
    "perturbed",
    "leaves over which the norm is taken",
    ("perturbed", "all"),
    static=True,
)
_SYNC = Option(
    "global",
    "perturb along the gradient of all devices, or each along its own",
    ("global", "local"),
    static=True,
)
_ETA = Option(0.01, "added to the magnitudes that scale the ascent", NON_NEGATIVE)
_P = Option(math.inf, "order of the norm of a tensor", Interval(1.0), static=True)
_SCALING = Option(
    "identity",
    "diagonal that scales the ascent",
    ("identity", "abs", "abs_over_range"),
    static=True,
)
# With the default scaling it changes nothing, so there is nothing to schedule.
_ETA_IF_SCALED = Option(
    0.01,
    "added to the magnitudes, with scaling abs or abs_over_range",
    NON_NEGATIVE,
    True,
)
_UNROLL = Option(True, "write the loop out instead of a scan", static=True)
_PLAIN = Neutral({"rho": 0.0}, "optax:identity")
_INNER = Neutral({"rho": 0.0}, "inner")
_LINK = frozenset({"params", "grad_fn"})


def _link(name: str, options: dict[str, Option], **more: Any) -> Transform:
    """A row of a link whose step costs two gradients and no state."""
    facts: dict[str, Any] = {
        "gradients": 2,
        "state_bytes": "0",
        "temp_bytes": "4",
        "needs": _LINK,
        "vectors": name,
        "reduces_to": _PLAIN,
    }
    return Transform(
        name=name,
        family="sharpness",
        role="link",
        build=f"jaxopt_lab.transforms.sharpness:{name}",
        options=options,
        **{**facts, **more},
    )


ROWS = (
    _link(
        "sam",
        {"rho": _rho(0.05), "norm_over": _NORM_OVER, "sync": _SYNC},
        summary="gradient at the worst point within a ball",
        paper="Foret et al. 2021, arXiv:2010.01412",
        code="davda54/sam",
    ),
    _link(
        "asam",
        {"rho": _rho(0.5), "eta": _ETA, "norm_over": _NORM_OVER, "sync": _SYNC},
        summary="gradient at the worst point, weights moving in proportion to size",
        paper="Kwon et al. 2021, arXiv:2102.11600",
        code="SamsungLabs/ASAM",
    ),
    _link(
        "samson",
        {
            "rho": _rho(0.2),
            "p": _P,
            "eta": _ETA,
            "norm_over": _NORM_OVER,
            "sync": _SYNC,
        },
        summary="gradient at the worst point relative to the range of each tensor",
        paper="Mordido, Chandar and Leduc-Primeau 2022, arXiv:2211.11561",
        code="sebastienwood/SamsonViT",
    ),
    _link(
        "multistep_sam",
        {
            "rho": _rho(0.05),
            "num_ascent": Option(2, "number of ascents", _COUNT, static=True),
            "unroll": _UNROLL,
            "norm_over": _NORM_OVER,
            "sync": _SYNC,
        },
        summary="gradient after several ascents in a row",
        gradients=3,
        gradients_formula="num_ascent + 1",
        paper="Andriushchenko and Flammarion 2022, arXiv:2206.06232",
        code="davda54/sam",
    ),
    _link(
        "msam",
        {
            "rho": _rho(0.05),
            "num_shards": Option(
                4, "shards of a device's batch, each perturbed by itself", _COUNT, True
            ),
            "scaling": _SCALING,
            "eta": _ETA_IF_SCALED,
            "p": _P,
            "norm_over": _NORM_OVER,
            "mode": Option(
                "unroll",
                "how the loop over the shards runs",
                ("unroll", "vmap", "scan"),
                static=True,
            ),
        },
        summary="mean of the sharpness-aware gradients of the shards of a batch",
        temp_bytes="4 + 4 * num_shards",
        needs=_LINK | {"shards"},
        paper="Behdin et al. 2023, arXiv:2302.09693",
    ),
    _link(
        "gsam",
        {
            "rho": _rho(0.05),
            "alpha": Option(0.4, "weight of the orthogonal part", NON_NEGATIVE),
            "scaling": _SCALING,
            "eta": _ETA_IF_SCALED,
            "p": _P,
            "norm_over": _NORM_OVER,
            "sync": _SYNC,
        },
        summary="sharpness-aware gradient that also closes the gap to the plain loss",
        paper="Zhuang et al. 2022, arXiv:2203.08065",
        code="juntang-zhuang/GSAM",
    ),
    _link(
        "friendly_sam",
        {
            "rho": _rho(0.05),
            "sigma": Option(1.0, "part of the average left out", NON_NEGATIVE),
            "decay": Option(0.9, "decay of the average of the gradients", _UNIT),
            "norm_over": _NORM_OVER,
        },
        summary="ascent along the noise of the mini-batch, without the mean gradient",
        state_bytes="4",
        paper="Li et al. 2024, arXiv:2403.12350",
        code="nblt/F-SAM",
    ),
    _link(
        "vasso",
        {
            "rho": _rho(0.05),
            "theta": Option(0.4, "weight of the newest gradient", _UNIT),
            "eps": Option(1e-7, "added to the norm", NON_NEGATIVE),
            "norm_over": _NORM_OVER,
        },
        summary="ascent along a running average of the gradients",
        state_bytes="4",
        paper="Li and Giannakis 2023, arXiv:2309.15639",
        code="BingcongLi/VaSSO",
    ),
    _link(
        "looksam",
        {
            "rho": _rho(0.05),
            "every": Option(
                5, "steps from one sharp gradient to the next", _COUNT, static=True
            ),
            "alpha": Option(
                0.2, "length of the kept direction, relative", NON_NEGATIVE
            ),
            "norm_over": _NORM_OVER,
        },
        summary="sharpness-aware gradient now and then, its direction in between",
        gradients_formula="(every + 1) / every",
        state_bytes="4",
        paper="Liu et al. 2022, arXiv:2203.02714",
        code="MarlonBecker/MSAM",
        vectors="",
    ),
    _link(
        "esam",
        {
            "rho": _rho(0.05),
            "beta": Option(
                0.6,
                "probability with which a tensor takes part in the ascent",
                Interval(0.0, 1.0, open_low=True),
            ),
            "norm_over": _NORM_OVER,
        },
        summary="ascent of a random part of the tensors, longer in turn",
        paper="Du et al. 2022, arXiv:2110.03141",
        code="dydjw9/Efficient_SAM",
        vectors="",
    ),
    Transform(
        name="lookbehind",
        family="sharpness",
        role="wrapper",
        summary="several ascents, a step down from each, and part of the way taken",
        build="jaxopt_lab.catalog.adapters:lookbehind",
        reduces_to=Neutral({"k": 1, "alpha": 1.0}, "sam"),
        options={
            "rho": _rho(0.05),
            "k": Option(2, "number of inner steps", _COUNT, static=True),
            "alpha": Option(0.5, "part of the way that is taken", _UNIT),
            "adaptive": Option(
                False, "choose alpha for each tensor by its agreement", static=True
            ),
            "scaling": _SCALING,
            "eta": _ETA_IF_SCALED,
            "p": _P,
            "unroll": _UNROLL,
        },
        gradients=3,
        gradients_formula="k + 1",
        state_bytes="0",
        temp_bytes="12",
        paper="Mordido et al. 2024, arXiv:2307.16704",
        code="chandar-lab/Lookbehind-SAM",
        needs=_LINK,
        vectors="lookbehind_sam",
    ),
    Transform(
        name="wsam",
        family="sharpness",
        role="wrapper",
        summary="the sharpness as a weighted regulariser, outside of the moments",
        build="jaxopt_lab.transforms.sharpness:wsam",
        reduces_to=Neutral({"gamma": 0.0}, "inner"),
        options={
            "rho": _rho(0.05),
            "learning_rate": Option(
                0.01, "step size of the decoupled part", Interval(0.0)
            ),
            "gamma": Option(
                0.5, "weight of the sharpness", Interval(0.0, 1.0, open_high=True)
            ),
            "decoupled": Option(True, "keep it out of the base", static=True),
            "norm_over": _NORM_OVER,
        },
        gradients=2,
        state_bytes="0",
        temp_bytes="8",
        paper="Yue et al. 2023, arXiv:2305.15817",
        needs=_LINK,
    ),
    Transform(
        name="bsam",
        family="sharpness",
        role="optimizer",
        summary="learned variances that scale the noise, the ascent and the step",
        build="jaxopt_lab.transforms.sharpness:bsam",
        reduces_to=Neutral(
            {
                "rho": 0.0,
                "b1": 0.0,
                "b2": 1.0,
                "initial_precision": 1.0,
                "num_data": 1e40,
            },
            "optax:sgd",
            "the noise has a standard deviation of 1e-20",
        ),
        options={
            "learning_rate": Option(0.1, "step size, divided by s", NON_NEGATIVE),
            "rho": Option(0.01, "strength of the ascent", NON_NEGATIVE),
            "num_data": Option(
                50_000.0,
                "number of examples in the data set",
                Interval(0.0, open_low=True),
            ),
            "b1": Option(0.9, "decay of the average of the gradients", _UNIT),
            "b2": Option(0.999, "decay of the precision", _UNIT),
            "weight_decay": Option(
                0.0, "precision of the prior over num_data", NON_NEGATIVE
            ),
            "damping": Option(0.1, "what s ends at without gradients", NON_NEGATIVE),
            "initial_precision": Option(
                10.0, "s at the start", Interval(0.0, open_low=True), static=True
            ),
        },
        gradients=2,
        state_bytes="12",
        temp_bytes="14",
        paper="Moellenhoff and Khan 2023, arXiv:2210.01620",
        code="team-approx-bayes/bayesian-sam",
        needs=_LINK,
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
    ),
    Transform(
        name="momentum_sam",
        family="sharpness",
        role="wrapper",
        summary="gradient ahead along the momentum, at no cost",
        build="jaxopt_lab.transforms.sharpness:momentum_sam",
        reduces_to=_INNER,
        options={"rho": _rho(0.1)},
        gradients=1,
        state_bytes="0",
        temp_bytes="8",
        paper="Becker, Altrock and Risse 2024, arXiv:2401.12033",
        code="MarlonBecker/MSAM",
        needs=frozenset({"params", "momentum"}),
        vectors="momentum_sam",
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
    ),
    Transform(
        name="stale_sam",
        family="sharpness",
        role="wrapper",
        summary="ascent along the gradient of the step before, at no cost",
        build="jaxopt_lab.transforms.sharpness:stale_sam",
        reduces_to=_INNER,
        options={"rho": _rho(0.05)},
        gradients=1,
        state_bytes="4",
        temp_bytes="8",
        paper="after Foret et al. 2021, arXiv:2010.01412",
        needs=frozenset({"params"}),
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
    ),
    Transform(
        name="lookahead",
        family="sharpness",
        role="wrapper",
        summary="slow weights that follow the fast ones every few steps",
        build="jaxopt_lab.transforms.sharpness:lookahead",
        reduces_to=Neutral({"k": 1, "alpha": 1.0}, "inner"),
        options={
            "k": Option(5, "steps of the fast weights", _COUNT, static=True),
            "alpha": Option(0.5, "part of the way that is taken", _UNIT),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="8",
        paper="Zhang et al. 2019, arXiv:1907.08610",
        needs=frozenset({"params"}),
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
    ),
)
