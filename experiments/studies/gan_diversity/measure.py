"""Modes that the generators of all arms cover."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.gan_diversity.config import Config
from experiments.studies.gan_diversity.sets import centers, covered, points
from experiments.studies.programs import over_seeds, picks
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_gan, make_gan_step

_POOL = 20_000


class Family(NamedTuple):
    """Arms that differ in a number alone.

    Attributes:
      count: discriminators.
      split: whether each has a slice of the batch; the number is the weight of the
        diversity then, otherwise the probability of dropped feedback.
      numbers: of the arms.
    """

    count: int
    split: bool
    numbers: tuple[float, ...]

    def names(self) -> list[str]:
        """The names of the arms."""
        sign = "alpha" if self.split else "d"
        return [f"K={self.count}, {sign}={number:g}" for number in self.numbers]


class Measured(NamedTuple):
    """Everything that is measured, by set and arm, ``(seeds,)``.

    Attributes:
      modes: that are covered.
      quality: share of the samples near a mode.
    """

    modes: dict[str, dict[str, np.ndarray]]
    quality: dict[str, dict[str, np.ndarray]]


PLAIN = Family(1, False, (0.0,))


def families(config: Config) -> list[Family]:
    """All arms; the plain GAN is the first."""
    return [
        PLAIN,
        Family(2, False, (config.pair,)),
        Family(config.count, False, config.drops),
        Family(config.count, True, config.alphas),
    ]


def measure(config: Config, store: Store) -> Measured:
    """Train every arm on every set; see ``Experiment.measure``."""
    places = centers(config)
    pools = np.stack([points(0, where, _POOL, config) for where in places.values()])
    rows, modes, quality = store.group("runs"), *({n: {} for n in places} for _ in "ab")
    for family in families(config):
        name = f"{family.count} {'split' if family.split else 'whole'}"
        found = rows.measured(
            name, lambda family=family: _family(family, pools, config)
        )
        for i, place in enumerate(places):
            for j, arm in enumerate(family.names()):
                modes[place][arm] = found["modes"][:, i, j]
                quality[place][arm] = found["quality"][:, i, j]
    return Measured(modes, quality)


def _family(family: Family, pools: np.ndarray, config: Config) -> dict[str, Any]:
    def run(key: jax.Array, numbers: jax.Array, pools: jax.Array) -> Any:
        # Not vmap: products with that many batch axes are compiled slowly.
        one = lambda number, pool: _run(key, family, number, pool, config)
        arms = lambda pool: jax.lax.map(lambda number: one(number, pool), numbers)
        return jax.lax.map(arms, pools)

    given = jnp.asarray(family.numbers), jnp.asarray(pools)
    made = over_seeds(run, config, *given, loop=True)
    found = {name: np.zeros(made.shape[:3]) for name in ("modes", "quality")}
    for i, place in enumerate(centers(config).values()):
        for where in np.ndindex(len(made), made.shape[2]):
            at = (where[0], i, where[1])
            count, share = covered(made[at], place, config)
            found["modes"][at], found["quality"][at] = count, share
    return found


def _run(
    key: jax.Array, family: Family, number: jax.Array, pool: jax.Array, config: Config
) -> jax.Array:
    one, two, draw, train, last = jax.random.split(key, 5)
    width = config.width
    apply = lambda params, state, x, *, train, key=None: (dense(params, x), state)
    made = lambda *sizes: Functional(lambda k: (dense_params(k, *sizes), {}), apply)
    generator = made(config.latent, width, width, 2)
    discriminator = made(2, width, width, 1)
    rivals, _ = jax.vmap(discriminator.init)(jax.random.split(two, family.count))
    tx = optax.adam(config.rate, b1=0.5)
    # A plain GAN has no draw, and one discriminator no slices.
    given: dict[str, Any] = {"split": True, "diversity": number}
    if not family.split:
        given = {"drop": number if family.count > 1 else 0.0}
    step = make_gan_step(
        generator, discriminator, tx, latent=config.latent, reduce="mean", **given
    )
    rows = picks(draw, config.steps, config.batch, len(pool))
    state = init_gan(tx, generator.init(one)[0], rivals, train)
    loop = lambda state, rows: (step(state, {"image": pool[rows]})[0], None)
    state, _ = jax.lax.scan(loop, state, rows)
    noise = jax.random.normal(last, (config.points, config.latent))
    return dense(state.params["generator"], noise)
