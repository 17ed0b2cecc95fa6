"""The rows of the sharpness-aware methods."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform

_PLAIN = Neutral({"rho": 0.0}, "optax:identity")
_INNER = Neutral({"rho": 0.0}, "inner")
_LINK = frozenset({"params", "grad_fn"})


def _link(name: str, options: tuple[str, ...], **more: Any) -> Transform:
    """A row of a link whose step costs two gradients and no state."""
    facts: dict[str, Any] = {
        "gradients": 2,
        "state_bytes": "0",
        "temp_bytes": "4",
        # The gradients wait for the norm of all; of a small network the fast memory
        # holds one of three matrices.
        "tpu_temp_bytes": "2.7",
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
        ("rho", "norm_over", "sync"),
        summary="gradient at the worst point within a ball",
        paper="Foret et al. 2021, arXiv:2010.01412",
        code="davda54/sam",
    ),
    _link(
        "asam",
        ("rho", "eta", "norm_over", "sync"),
        summary="gradient at the worst point, weights moving in proportion to size",
        paper="Kwon et al. 2021, arXiv:2102.11600",
        code="SamsungLabs/ASAM",
        full="sam with scaling abs",
    ),
    _link(
        "samson",
        ("rho", "p", "eta", "norm_over", "sync"),
        summary="gradient at the worst point relative to the range of each tensor",
        paper="Mordido, Chandar and Leduc-Primeau 2022, arXiv:2211.11561",
        code="sebastienwood/SamsonViT",
        full="sam with scaling abs_over_range",
    ),
    _link(
        "multistep_sam",
        ("rho", "num_ascent", "unroll", "norm_over", "sync"),
        summary="gradient after several ascents in a row",
        gradients=3,
        gradients_formula="num_ascent + 1",
        tpu_temp_bytes="6.7",
        paper="Andriushchenko and Flammarion 2022, arXiv:2206.06232",
        code="davda54/sam",
    ),
    _link(
        "msam",
        ("rho", "num_shards", "scaling", "eta", "p", "norm_over", "mode"),
        # With the default scaling it changes nothing.
        fixed=frozenset({"eta"}),
        summary="mean of the sharpness-aware gradients of the shards of a batch",
        temp_bytes="4 + 4 * num_shards",
        # The gradients of all shards wait for their norms: they are made at once, so
        # that every product serves all shards. With mode="scan" 8, whatever the number
        # (by the buffer assignment; memory_analysis says 12), and twice the traffic.
        tpu_temp_bytes="0.1 + 4 * num_shards",
        needs=_LINK | {"shards"},
        paper="Behdin et al. 2023, arXiv:2302.09693",
    ),
    _link(
        "gsam",
        ("rho", "alpha", "scaling", "eta", "p", "norm_over", "sync"),
        # With the default scaling it changes nothing.
        fixed=frozenset({"eta"}),
        summary="sharpness-aware gradient that also closes the gap to the plain loss",
        # Both gradients wait for the norm and the product that split one of them.
        tpu_temp_bytes="8.1",
        paper="Zhuang et al. 2022, arXiv:2203.08065",
        code="juntang-zhuang/GSAM",
    ),
    _link(
        "friendly_sam",
        ("rho", "sigma", "decay", "norm_over"),
        summary="ascent along the noise of the mini-batch, without the mean gradient",
        state_bytes="4",
        paper="Li et al. 2024, arXiv:2403.12350",
        code="nblt/F-SAM",
    ),
    _link(
        "vasso",
        ("rho", "theta", "eps", "norm_over"),
        summary="ascent along a running average of the gradients",
        state_bytes="4",
        # The ascent is known before the gradient.
        tpu_temp_bytes="0.1",
        paper="Li and Giannakis 2023, arXiv:2309.15639",
        code="BingcongLi/VaSSO",
        full="the scaffolding of friendly_sam with another direction",
    ),
    _link(
        "looksam",
        ("rho", "every", "alpha", "norm_over"),
        summary="sharpness-aware gradient now and then, its direction in between",
        gradients_formula="(every + 1) / every",
        state_bytes="4",
        # The gradient waits: between two sharp ones for its own norm, beside the kept
        # direction, and else for the second gradient.
        tpu_temp_bytes="4.1",
        paper="Liu et al. 2022, arXiv:2203.02714",
        code="MarlonBecker/MSAM",
        vectors="",
    ),
    _link(
        "esam",
        ("rho", "beta", "norm_over"),
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
        options=("rho", "k", "alpha", "adaptive", "scaling", "eta", "p", "unroll"),
        # With the default scaling it changes nothing.
        fixed=frozenset({"eta"}),
        gradients=3,
        gradients_formula="k + 1",
        state_bytes="0",
        temp_bytes="12",
        tpu_temp_bytes="6.7",
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
        options=("rho", "learning_rate", "gamma", "decoupled", "norm_over"),
        overrides={"learning_rate": 0.01},
        # That of the inner optimizer, which is tuned.
        ranges={"learning_rate": None},
        gradients=2,
        state_bytes="0",
        temp_bytes="8",
        # The gradient waits for the second one.
        tpu_temp_bytes="4.1",
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
        options=(
            "learning_rate",
            "rho",
            "num_data",
            "b1",
            "b2",
            "weight_decay",
            "damping",
            "initial_precision",
        ),
        overrides={"learning_rate": 0.1, "num_data": 50_000.0},
        fixed=frozenset({"initial_precision"}),
        gradients=2,
        state_bytes="12",
        temp_bytes="14",
        tpu_temp_bytes="3.4",
        paper="Moellenhoff and Khan 2023, arXiv:2210.01620",
        code="team-approx-bayes/bayesian-sam",
        needs=_LINK,
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
        full="normal numbers differ by 1e-10 between programs of the quick compiler",
    ),
    Transform(
        name="momentum_sam",
        family="sharpness",
        role="wrapper",
        summary="gradient ahead along the momentum, at no cost",
        build="jaxopt_lab.transforms.sharpness:momentum_sam",
        reduces_to=_INNER,
        options=("rho",),
        gradients=1,
        state_bytes="0",
        temp_bytes="8",
        # Old and new momentum wait for the norm of the new one.
        tpu_temp_bytes="6.7",
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
        options=("rho",),
        gradients=1,
        state_bytes="4",
        temp_bytes="8",
        # Old and new gradient wait for the norm of the new one.
        tpu_temp_bytes="4.1",
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
        options=("k", "alpha"),
        gradients=1,
        state_bytes="4",
        temp_bytes="8",
        tpu_temp_bytes="0.1",
        paper="Zhang et al. 2019, arXiv:1907.08610",
        needs=frozenset({"params"}),
        eval_params="jaxopt_lab.transforms.sharpness:eval_params",
    ),
)
