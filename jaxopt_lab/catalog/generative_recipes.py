"""The rows of recipes that train generators."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Recipe

_EXAMPLES = "jaxopt_lab.catalog.examples.batches"

ROWS: tuple[Recipe, ...] = (
    Recipe(
        name="gan",
        summary="a generator against K discriminators; Dropout-GAN and microbatchGAN",
        build="jaxopt_lab.recipes:make_gan_step",
        reduces_to=Neutral(
            {"drop": 0.0, "diversity": 0.0, "split": False},
            "jaxopt_lab.training:make_train_step",
            "one for each discriminator, then one for the generator",
        ),
        topic="generative models",
        options=(
            "loss",
            "drop",
            "split",
            "diversity",
            "diversity_form",
            "reduce",
            "fresh_noise",
        ),
        example=f"{_EXAMPLES}:two_adversaries",
        roles=("generator", "discriminators"),
        outputs="examples of noise",
        gradients={"generator": 1, "discriminators": 1},
        paper="Goodfellow et al. 2014, Mordido et al. 2018 and 2020",
        full="roles in turn as co_teaching; its objectives and seeds are plain",
    ),
    Recipe(
        name="discopatch",
        summary="a VAE against a discriminator of patches, whose statistics judge",
        build="jaxopt_lab.recipes:make_discopatch_step",
        reduces_to=Neutral(
            {"kl": 0.0, "fool_rebuilt": 0.0, "fool_generated": 0.0},
            "jaxopt_lab.training:make_train_step",
            "of the VAE, on its reconstruction",
        ),
        topic="generative models",
        options=("kl", "fool_rebuilt", "fool_generated"),
        example="jaxopt_lab.catalog.examples.flows:vae_and_discriminator",
        roles=("vae", "discriminator"),
        outputs="scores of patches",
        gradients={"vae": 1, "discriminator": 1},
        paper="Caetano et al. 2025",
        code="caetas/DisCoPatch",
        full="two roles in turn as co_teaching; its objectives are plain",
    ),
    Recipe(
        name="flow_matching",
        summary="velocities of straight paths from noise to data, or weighted (W-CFM)",
        build="jaxopt_lab.recipes:make_flow_matching_step",
        reduces_to=Neutral(
            {"epsilon": float("inf"), "sigma": 0.0},
            "jaxopt_lab.training:make_train_step",
        ),
        topic="generative models",
        options=("epsilon", "cost", "sigma"),
        example="jaxopt_lab.catalog.examples.flows:one_flow",
        roles=("model",),
        gradients={"model": 1},
        outputs="velocities",
        paper="Lipman et al. 2022, arXiv:2210.02747; W-CFM 2025",
        full="one role as adversarial; its step in plain words is plain",
    ),
)
