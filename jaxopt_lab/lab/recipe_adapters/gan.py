"""GANs in a run: the model from noise to examples, against others with two outputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab.recipe_adapters import generators
from jaxopt_lab.lab.recipe_adapters.adapter import Adapter, Given, Make, Options
from jaxopt_lab.recipes import make_gan_step
from jaxopt_lab.recipes.gan import DISCRIMINATORS, GENERATOR

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.prepared_recipe import Draw, Prepared
    from jaxopt_lab.training import TrainState


OUTPUT = Option(
    "sigmoid",
    "function of the generator's outputs; sigmoid: for images in [0, 1]",
    ("sigmoid", "linear"),
    True,
)


def latent_of(options: Options, shape: tuple[int, ...]) -> int:
    """The number of features of the noise.

    >>> latent_of({"latent": 0}, (8, 8, 1))
    64
    """
    return options["latent"] or math.prod(shape)


def network(
    make: Make, shape: tuple[int, ...], classes: int, options: Options
) -> Functional:
    """The generator from a model of the run.

    Args:
      make: of the run's model.
      shape: shape of one input.
      classes: not used.
      options: ``latent``, the features of the noise, 0 for noise of the shape of an
        input; ``output``, the function of what the model gives.

    Returns:
      The network, of noise ``(B, latent)``.
    """
    del classes
    noise = (options["latent"],) if options["latent"] else shape
    model = make(noise, math.prod(shape))

    def apply(
        params: Params, state: Any, z: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        given = z.reshape(-1, *noise)
        out, state = model.apply(params, state, given, train=train, key=key)
        return image_of(out, shape, options), state

    return Functional(model.init, apply)


def image_of(out: Any, shape: tuple[int, ...], options: Options) -> Any:
    """Outputs of a generator as images.

    Args:
      out: ``(B, features)``.
      shape: of an image.
      options: ``output``, the function of the outputs.

    Returns:
      ``(B, *shape)``.
    """
    out = jax.nn.sigmoid(out) if options["output"] == "sigmoid" else out
    return out.reshape(-1, *shape)


def discriminator(make: Make, shape: tuple[int, ...]) -> Functional:
    """A discriminator from a model of the run: the difference of two outputs.

    Args:
      make: of the run's model.
      shape: shape of one input.

    Returns:
      The network, whose logits are ``(B,)``.
    """
    model = make(shape, 2)

    def apply(
        params: Params, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        out, state = model.apply(params, state, x, train=train, key=key)
        return out[:, 1] - out[:, 0], state

    return Functional(model.init, apply)


def prepare(given: Given) -> Prepared:
    """The recipe of a run.

    Args:
      given: the parts of the run.

    Returns:
      The recipe. The generator alone is tested.

    Raises:
      InputError: the data do not fit.
    """
    from jaxopt_lab.lab.prepared_recipe import Prepared, step_options

    generators.check_data(given.row, given.loaded)
    options, shape = given.options, given.loaded.input_shape
    if options["output"] == "sigmoid":
        check_range(given.loaded.test)
    count, latent = options["discriminators"], latent_of(options, shape)
    rival = discriminator(given.make, shape)
    shared = step_options(given.row, given.configuration.run)
    step = make_gan_step(
        given.network, rival, given.tx, latent=latent, **given.of_step(), **shared
    )

    def first(draw: Draw) -> TrainState:
        own = draw(0)
        others = [draw(1 + i, rival) for i in range(count)]
        stacked = jax.tree.map(
            lambda *leaves: jnp.stack(leaves),
            *((s.params, s.model_state, s.opt_state) for s in others),
        )
        ours = own.params, own.model_state, own.opt_state
        by_role = [
            {GENERATOR: one, DISCRIMINATORS: many}
            for one, many in zip(ours, stacked, strict=True)
        ]
        params, model_state, opt_state = by_role
        return own._replace(params=params, model_state=model_state, opt_state=opt_state)

    def view(state: TrainState) -> TrainState:
        trees: Any = state.params, state.model_state, state.opt_state
        params, model_state, opt_state = (tree[GENERATOR] for tree in trees)
        return state._replace(
            params=params, model_state=model_state, opt_state=opt_state
        )

    def tests(network: Functional, batches: Any, **options: Any) -> Any:
        return generators.tests(_samples(network, latent))(batches, **options)

    return Prepared(step, first, view, tests=tests)


def check(configuration: Configuration) -> None:
    """Refuse what has no meaning for a generator, and learned weights of diversity.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option.
    """
    generators.check(configuration)
    form = configuration.parts["recipe"]["diversity_form"]
    if form != "constant":
        raise InputError(
            f"recipe.diversity_form={form} is learned, which a run does not offer; in "
            "Python: jaxopt_lab.recipes.init_gan(diversity=) and make_gan_step"
        )


def _samples(network: Functional, latent: int) -> generators.Samples:
    def samples(params: Any, model_state: Any, key: jax.Array, count: int) -> jax.Array:
        z = jax.random.normal(key, (count, latent), jnp.float32)
        return network.apply(params, model_state, z, train=False)[0]

    return samples


def check_range(batches: Any) -> None:
    """Refuse images that a sigmoid cannot make.

    Args:
      batches: of the images.

    Raises:
      InputError: their values leave [0, 1].
    """
    images = [np.asarray(batch["image"]) for batch in batches]
    if not all(np.issubdtype(x.dtype, np.floating) for x in images):
        return  # integers are divided by 255
    low, high = min(x.min() for x in images), max(x.max() for x in images)
    if low < 0 or high > 1:
        raise InputError(
            f"recipe.output=sigmoid makes values in [0, 1], the images have {low:g} to "
            f"{high:g}; accepted: recipe.output=linear"
        )


def _of_run(run: Any, count: int, key: jax.Array) -> jax.Array:
    options = {"latent": run.config["recipe.latent"]}
    made = _samples(run.model, latent_of(options, run.input_shape))
    return generators.samples_of(made)(run, count, key)


ADAPTER = Adapter(
    options={
        "discriminators": Option(
            1, "number of discriminators; the model has two outputs", Interval(1), True
        ),
        "latent": Option(
            0,
            "features of the noise, for models that take vectors (mlp); 0: noise of "
            "the shape of an input",
            Interval(0),
            True,
        ),
        "output": OUTPUT,
    },
    known=("discriminator", "latent"),
    network=network,
    prepare=prepare,
    check=check,
    score="coverage",
    classifies=False,
    apart=generators.APART,
    losses={"loss": ("loss", "discriminator_loss")},
    scores=generators.SCORES,
    sections=generators.sections,
    samples=_of_run,
)
