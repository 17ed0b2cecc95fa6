"""Principal directions of a run against the dense decomposition."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.landscape.directions import cosine
from jaxopt_lab.curvature.landscape.trajectory import trajectory_directions


def run(steps=7, dtype=jnp.float64):
    keys = jax.random.split(jax.random.key(2), 2)
    walks = {
        "w": jnp.cumsum(jax.random.normal(keys[0], (steps, 3, 4)), axis=0),
        "b": jnp.cumsum(0.3 * jax.random.normal(keys[1], (steps, 5)), axis=0),
    }
    return trees.cast(walks, dtype)


def flat(stacked):
    leaves = [np.reshape(x, (len(x), -1)) for x in jax.tree.leaves(stacked)]
    return np.concatenate(leaves, axis=1)


@pytest.mark.full(plain=["float32-3e-05"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-5)]
)
def test_the_directions_are_those_of_the_dense_decomposition(dtype, tolerance):
    stacked = run(dtype=jnp.dtype(dtype))
    found = jax.jit(trajectory_directions, static_argnums=1)(stacked, 3)
    rows = flat(stacked) - flat(stacked)[-1]
    _, singular, components = np.linalg.svd(rows - rows.mean(axis=0))
    share = singular**2 / np.sum(singular**2)
    np.testing.assert_allclose(
        found.explained_variance_ratio, share[:3], rtol=10 * tolerance
    )
    for i, direction in enumerate(found.directions):
        got = flat(jax.tree.map(lambda x: x[None], direction))[0]
        sign = np.sign(got @ components[i])
        np.testing.assert_allclose(got, sign * components[i], atol=tolerance)
        coordinates = rows @ got
        np.testing.assert_allclose(
            found.coordinates[:, i], coordinates, atol=20 * tolerance
        )
        assert coordinates[0] >= 0
    chex.assert_trees_all_equal(found.origin, jax.tree.map(lambda x: x[-1], stacked))
    np.testing.assert_array_equal(found.coordinates[-1], 0)
    assert abs(cosine(*found.directions[:2])) < tolerance


@pytest.mark.full
def test_a_list_is_the_same_as_a_stack():
    stacked = run()
    one = jax.jit(trajectory_directions)(stacked)
    two = jax.jit(trajectory_directions)([loops.take(stacked, t) for t in range(7)])
    chex.assert_trees_all_equal(one, two)


@pytest.mark.full
def test_a_straight_run_and_one_that_stands_still():
    straight = [{"w": jnp.array([4.0 - t, 1.0]), "n": jnp.int32(t)} for t in range(5)]
    found = jax.jit(trajectory_directions)(straight)
    np.testing.assert_allclose(found.explained_variance_ratio, [1, 0], atol=1e-12)
    np.testing.assert_allclose(found.coordinates[:, 0], [4, 3, 2, 1, 0], atol=1e-12)
    assert found.directions[0]["n"] == 0
    still = jax.jit(trajectory_directions)([{"w": jnp.ones(3)}] * 3)
    chex.assert_tree_all_finite(still)
    np.testing.assert_array_equal(still.explained_variance_ratio, [0, 0])


def test_bad_snapshots():
    with pytest.raises(InputError, match=r"at least num_directions \+ 1 = 3; got 2"):
        trajectory_directions([{"w": jnp.ones(2)}] * 2)
    with pytest.raises(InputError, match="got 0"):
        trajectory_directions([])
    with pytest.raises(InputError, match="snapshot 1 does not fit"):
        trajectory_directions([{"w": jnp.ones(2)}, {"w": jnp.ones(3)}], 1)
    with pytest.raises(InputError, match="leading axis of the same length"):
        trajectory_directions({"w": jnp.ones(2), "b": jnp.ones(3)})
    with pytest.raises(InputError, match="num_directions must be a whole number"):
        trajectory_directions(run(), 0)
