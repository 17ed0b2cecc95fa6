"""DisCoPatch in a run: patches of the images, and scores of images that are others."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.rank_correlation import roc_area
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.lab.recipe_adapters import gan, generators
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given, Make, Options
from jaxopt_lab.lab.recipe_adapters.corrupted import NAMES, SEVERITY_OPTION, corrupted
from jaxopt_lab.recipes import (
    VaeOutputs,
    make_discopatch_step,
    patch_score,
    random_patches,
)
from jaxopt_lab.recipes.discopatch import DISCRIMINATOR, VAE

if TYPE_CHECKING:
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared
    from jaxopt_lab.training import TrainState

ENCODER, DECODER = "encoder", "decoder"
_ROLES = (VAE, DISCRIMINATOR)
_CUT = 1
"""Folded into the key of a step for the places of its patches."""


class Networks(NamedTuple):
    """The networks of patches, each from a model of the run.

    Attributes:
      vae: of ``(patches, noise, noise of the prior)``, gives ``VaeOutputs``.
      discriminator: gives logits ``(B,)``.
    """

    vae: Functional
    discriminator: Functional


def networks(make: Make, shape: tuple[int, ...], options: Options) -> Networks:
    """The networks of patches of a size.

    Args:
      make: of the run's model.
      shape: of one image.
      options: ``size`` of the sides of a patch, ``latent`` and ``output``.

    Returns:
      They. The encoder has two outputs for each latent.

    Raises:
      InputError: there are no patches of that size.
    """
    side = options["size"]
    if len(shape) != 3 or side > min(shape[:2]):
        raise InputError(
            f"recipe.size={side} is of patches of images (H, W, C); got {shape}"
        )
    patch = (side, side, shape[-1])
    latent = gan.latent_of(options, patch)
    noise = (latent,) if options["latent"] else patch
    encoder, decoder = make(patch, 2 * latent), make(noise, math.prod(patch))

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        keys = jax.random.split(key)
        pairs = [f.init(k) for f, k in zip((encoder, decoder), keys, strict=True)]
        params, states = (
            dict(zip((ENCODER, DECODER), x, strict=True))
            for x in zip(*pairs, strict=True)
        )
        return params, states

    def apply(
        params: Any, state: Any, given: Any, *, train: bool, key: Any = None
    ) -> tuple[VaeOutputs, ModelState]:
        x, drawn, prior = given
        keys = [None] * 3 if key is None else list(jax.random.split(key, 3))
        run = functools.partial(encoder.apply, train=train)
        out, encoded = run(params[ENCODER], state[ENCODER], x, key=keys[0])
        mean, log_variance = jnp.split(out, 2, axis=-1)
        z = mean + jnp.exp(log_variance / 2) * drawn.astype(mean.dtype)
        after, made = state[DECODER], []
        for latents, k in ((z, keys[1]), (prior.astype(z.dtype), keys[2])):
            out, after = decoder.apply(
                params[DECODER], after, latents.reshape(-1, *noise), train=train, key=k
            )
            made.append(gan.image_of(out, patch, options))
        kept = {ENCODER: encoded, DECODER: after}
        return VaeOutputs(made[0], made[1], mean, log_variance), kept

    return Networks(Functional(init, apply), gan.discriminator(make, patch))


def network(
    make: Make, shape: tuple[int, ...], classes: int, options: Options
) -> Functional:
    """Both networks of a run, as the score of an image.

    Args:
      make: of the run's model.
      shape: of one image.
      classes: not used.
      options: of ``networks``; ``views``, patches of an image in its score.

    Returns:
      The network of images ``(B, H, W, C)``; its outputs are ``patch_score``, larger
      the less their patches are held to be real. The discriminator has the statistics
      of the patches of one image. Parameters are by role.

    Raises:
      InputError: as of ``networks``.
    """
    del classes
    made = networks(make, shape, options)
    count, side = options["views"], options["size"]

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        keys = jax.random.split(key)
        pairs = [f.init(k) for f, k in zip(made, keys, strict=True)]
        params, states = (
            dict(zip(_ROLES, x, strict=True)) for x in zip(*pairs, strict=True)
        )
        return params, states

    def apply(
        params: Any, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[jax.Array, ModelState]:
        del train
        # The same places for every set of images that is tested.
        key = jax.random.key(0) if key is None else key
        patches = random_patches(key, x, patches=count, size=side)

        def of_image(patches: jax.Array) -> jax.Array:
            given = params[DISCRIMINATOR], state[DISCRIMINATOR], patches
            return made.discriminator.apply(*given, train=True, key=key)[0]

        each = jax.vmap(of_image)(patches.reshape(len(x), count, *patches.shape[1:]))
        return patch_score(each.reshape(-1), per_image=count), state

    return Functional(init, apply)


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. A step takes ``patches`` of each image of its batch; the test is of
      the test images against themselves under a corruption.

    Raises:
      InputError: the data do not fit.
    """
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    generators.check_data(given.row, given.loaded)
    options, shape = given.options, given.loaded.input_shape
    if options["output"] == "sigmoid":
        gan.check_range(given.loaded.test)
    made = networks(given.make, shape, options)
    side, count = options["size"], options["patches"]
    step_of = make_discopatch_step(
        *made,
        given.tx,
        latent=gan.latent_of(options, (side, side, shape[-1])),
        **given.of_step(),
        **step_options(given.row, given.configuration.run),
    )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        x = to_float(jnp.asarray(batch["image"]))
        key = jax.random.fold_in(state.key, _CUT)
        cut = random_patches(key, x, patches=count, size=side)
        return step_of(state, {"image": cut})

    def first(draw: Draw) -> TrainState:
        own: Any = draw(0)

        def of_role(role: str) -> Functional:
            begun = own.params[role], own.model_state[role]
            return Functional(lambda key: begun, made.vae.apply)

        # Each role has an optimizer of its own, with noise of its own.
        states = {role: draw(1 + i, of_role(role)) for i, role in enumerate(_ROLES)}
        return own._replace(opt_state={r: s.opt_state for r, s in states.items()})

    def of_each(function: Any) -> Any:
        return lambda *trees: {r: function(*(t[r] for t in trees)) for r in _ROLES}

    def tests(
        network: Functional, batches: Any, *, seeds: bool = False, mode: str = "auto"
    ) -> Any:
        del mode  # one seed after the other, as generators

        @functools.cache
        def both() -> tuple[jax.Array, jax.Array]:
            flat = generators.real_examples(batches, generators.COMPARED)
            x = flat.reshape(-1, *shape)
            others = options["corruption"], options["severity"]
            return x, corrupted(jax.random.key(0), x, *others)

        @jax.jit
        def scores(params: Any, model_state: Any, x: Any, y: Any) -> list[jax.Array]:
            return [
                network.apply(params, model_state, images, train=False)[0]
                for images in (x, y)
            ]

        def one(params: Any, model_state: Any) -> Mapping[str, float]:
            return {"auroc": roc_area(*scores(params, model_state, *both()))}

        return lambda state: generators.of_each_seed(one, state, seeds)

    return Prepared(step, first, lambda state: state, of_each=of_each, tests=tests)


ADAPTER = Adapter(
    options={
        "size": Option(4, "pixels of a side of a patch", Interval(1), True),
        "patches": Option(4, "of each image in a step", Interval(1), True),
        "views": Option(16, "patches of an image in its score", Interval(1), True),
        "latent": Option(
            0,
            "latents of a patch, for models that take vectors (mlp); 0: as many as its "
            "values, of its shape",
            Interval(0),
            True,
        ),
        "output": gan.OUTPUT,
        "corruption": Option(
            "gaussian_noise",
            "of the test images from which the others are told apart",
            NAMES,
            True,
        ),
        "severity": SEVERITY_OPTION,
    },
    known=("latent",),
    network=network,
    prepare=prepare,
    check=generators.check,
    score="auroc",
    classifies=False,
    apart="trains a judge of patches, which has no accuracy and no loss of classes",
    losses={"loss": ("loss", "discriminator_loss", "reconstruction")},
    scores=("auroc",),
)
