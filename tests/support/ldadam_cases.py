"""LDAdam as a recorded case sets it up."""

from jaxopt_lab.transforms.compressed.ldadam import ldadam
from support import vectors


def options(case):
    given = case.meta["hyperparameters"]
    return {
        "rank": given["rank"],
        "b1": given["betas"][0],
        "b2": given["betas"][1],
        "eps": given["eps"],
        "rho": given["rho"],
        "error": "float32" if given["error_feedback"] else "none",
        "projector": "svd" if given["proj_method"] == "svd" else "std",
        "start": "svd",
        "side": {"std": "smaller", "right": "right"}[given["proj_type"]],
        "low_rank": {k: k in case.meta["lowrank"] for k in case.init},
    }


def rate(case):
    values = case.meta["lr_per_step"]
    return (
        case.meta["hyperparameters"]["lr"]
        if values is None
        else vectors.schedule(values)
    )


def optimizer(case, **more):
    decay = case.meta["hyperparameters"]["weight_decay"]
    return ldadam(rate(case), weight_decay=decay, **{**options(case), **more})
