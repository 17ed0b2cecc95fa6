"""Heat-bath Monte Carlo of +-1 spins, at one temperature or at many at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.spins.models import Model


def sweep(
    key: jax.Array, model: Model, spins: jax.Array, beta: jax.Array | float
) -> jax.Array:
    """Draw every spin once, in order, given the others.

    Args:
      key: typed random key.
      model: the energy.
      spins: ``(N,)``, floating.
      beta: inverse temperature; infinity: the spin of less energy, a fair coin where
        both are equal.

    Returns:
      The spins. The Boltzmann distribution is stationary.
    """
    n = len(spins)
    drawn = jax.random.uniform(key, (n,), spins.dtype)

    def visit(carry, step):
        spins, kept = carry
        i, u = step
        gap = model.gap(kept, spins, i)
        up = jax.nn.sigmoid(jnp.where(gap == 0, 0, beta * gap))
        new = jnp.where(u < up, 1, -1).astype(spins.dtype)
        kept = model.changed(kept, i, new - spins[i])
        return (spins.at[i].set(new), kept), None

    steps = jnp.arange(n), drawn
    # Kept numbers begin anew with each sweep: rounding does not add up.
    (spins, _), _ = jax.lax.scan(visit, (spins, model.kept(spins)), steps)
    return spins


def exchange(
    key: jax.Array, energies: jax.Array, betas: jax.Array, odd: jax.Array
) -> jax.Array:
    """Places of replicas after neighbours in temperature may have changed places.

    Args:
      key: typed random key.
      energies: of the replicas, ``(R,)``.
      betas: their inverse temperatures, ``(R,)``.
      odd: 0: pairs (0, 1), (2, 3), ...; 1: (1, 2), (3, 4), ...

    Returns:
      Indices ``(R,)``: the replica that each temperature takes over.
    """
    r = len(betas)
    here = jnp.arange(r)
    lower = (here - odd) % 2 == 0
    partner = jnp.clip(jnp.where(lower, here + 1, here - 1), 0, r - 1)
    # A pair has one number: that of its lower place.
    drawn = jax.random.uniform(key, (r,))[jnp.minimum(here, partner)]
    gain = (betas - betas[partner]) * (energies - energies[partner])
    return jnp.where(jnp.log(drawn) < gain, partner, here)


def tempered(
    key: jax.Array, model: Model, spins: jax.Array, betas: jax.Array, sweeps: int
) -> tuple[jax.Array, jax.Array]:
    """Parallel tempering: replicas at many temperatures, which they exchange.

    Args:
      key: typed random key.
      model: the energy.
      spins: ``(R, N)``, one replica for each temperature.
      betas: ``(R,)``, in order.
      sweeps: their number.

    Returns:
      Energies ``(sweeps, R)`` and spins ``(sweeps, R, N)`` after each sweep.
    """

    def advance(spins, step):
        i, own = step
        swept, swapped = jax.random.split(own)
        keys = jax.random.split(swept, len(betas))
        spins = jax.vmap(lambda k, s, b: sweep(k, model, s, b))(keys, spins, betas)
        energies = jax.vmap(model.energy)(spins)
        taken = exchange(swapped, energies, betas, i % 2)
        return spins[taken], (energies[taken], spins[taken])

    steps = jnp.arange(sweeps), jax.random.split(key, sweeps)
    return jax.lax.scan(advance, spins, steps)[1]
