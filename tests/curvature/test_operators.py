"""Products of the Hessian, Gauss-Newton and Fisher matrices, against dense ones."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support import dense_hessian
from support.dense_hessian import BUILD, Loader, empirical, ggn, hessian

from jaxopt_lab import curvature
from jaxopt_lab.core import trees
from jaxopt_lab.curvature.operators.blocks import Point
from jaxopt_lab.curvature.operators.products import HessianProduct

CASES = dense_hessian.CASES


@pytest.mark.full(plain=["conv_init-Gv", "mlp_mse-Gv", "mlp_mse-Fv"])
@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("name", CASES)
def test_products_equal_the_recorded(name, kind):
    p = dense_hessian.load(name)
    operator = BUILD[kind](p, [p.batch])
    assert operator.size == p.meta["params"]
    for v, expected in zip(p.arrays["hvp/v"], p.arrays[f"hvp/{kind}"], strict=True):
        got = dense_hessian.flat(operator.matvec(p.tree(v)))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_eigenvalues_equal_the_recorded(name):
    p = dense_hessian.load(name)
    for kind, build in (("hessian", hessian), ("ggn", ggn), ("emp_fisher", empirical)):
        matrix = dense_hessian.dense(build(p, [p.batch]))
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-13)
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        expected = p.arrays[f"{kind}/eigenvalues"]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            np.trace(matrix), p.arrays[f"{kind}/trace"], rtol=1e-10
        )


@pytest.mark.full(plain=["Fv"])
@pytest.mark.parametrize("kind", BUILD)
def test_float32_is_close(kind):
    p = dense_hessian.load("mlp_init")
    q = dense_hessian.load("mlp_init", jnp.float32)
    operator = BUILD[kind](q, [q.batch])
    largest = np.max(np.abs(p.arrays["hessian/eigenvalues"]))
    v, expected = p.arrays["hvp/v"][0], p.arrays[f"hvp/{kind}"][0]
    got = operator.matvec(p.tree(v, jnp.float32))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(got))
    error = np.max(np.abs(dense_hessian.flat(got) - expected))
    assert error <= 1e-4 * largest


@pytest.mark.full
@pytest.mark.parametrize("reduce", ["auto", "loop"])
@pytest.mark.parametrize("name", CASES)
def test_unequal_batches_are_weighted_by_size(name, reduce):
    p = dense_hessian.load(name)
    operator = hessian(p, p.unequal_batches(), reduce=reduce)
    for i, v in enumerate(p.arrays["hvp/v"]):
        got = dense_hessian.flat(operator.matvec(p.tree(v)))
        expected = p.arrays["batches/Hv_weighted"][i]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
        wrong = p.arrays["batches/Hv_equal_weight_wrong"][i]
        assert np.max(np.abs(got - wrong)) > 1e-4
        traced = jax.jit(operator.apply)(operator.data, p.tree(v))
        np.testing.assert_allclose(dense_hessian.flat(traced), expected, atol=1e-12)


@pytest.mark.full(plain=["Hv"])
@pytest.mark.parametrize("kind", BUILD)
def test_batches_of_every_kind_have_weights(kind):
    p = dense_hessian.load("mlp_init")
    v = p.tree(p.arrays["hvp/v"][1])
    got = BUILD[kind](p, p.unequal_batches()).matvec(v)
    expected = p.arrays[f"hvp/{kind}"][1]
    np.testing.assert_allclose(dense_hessian.flat(got), expected, atol=1e-12)


def test_streamed_batches():
    p = dense_hessian.load("mlp_init")
    loader = Loader(p.unequal_batches())
    operator = hessian(p, loader)
    assert loader.passes == 0 and operator.apply is None
    for i, v in enumerate(p.arrays["hvp/v"]):
        got = dense_hessian.flat(operator.matvec(p.tree(v)))
        np.testing.assert_allclose(got, p.arrays["hvp/Hv"][i], rtol=0, atol=1e-12)
    assert loader.passes == 3


def padded(p, size=10):
    """The recorded parts, padded to one size with examples that would be seen."""
    batches = []
    for part in p.unequal_batches():
        extra = size - len(part["y"])
        batch = {
            "x": jnp.concatenate([part["x"], jnp.full((extra, 6), 3.0)]),
            "y": jnp.concatenate([part["y"], jnp.ones(extra, jnp.int32)]),
            "weight": jnp.concatenate([jnp.ones(size - extra), jnp.zeros(extra)]),
        }
        batches.append(batch)
    return batches


@pytest.mark.full(plain=["Fv-auto"])
@pytest.mark.parametrize("reduce", ["loop", "scan", "auto"])
@pytest.mark.parametrize("kind", BUILD)
def test_a_padded_last_batch(kind, reduce):
    p = dense_hessian.load("mlp_init")

    def mean(losses, b):
        return jnp.sum(losses * b["weight"]) / jnp.sum(b["weight"])

    options = {"example_weights": lambda b: b["weight"], "reduce": reduce}
    operator = {
        "Hv": lambda b: curvature.hessian(
            lambda w, b: mean(p.example_losses(w, b), b), p.params, b, **options
        ),
        "Gv": lambda b: curvature.ggn(
            p.model_fn,
            lambda z, b: mean(p.output_losses(z, b), b),
            p.params,
            b,
            **options,
        ),
        "Fv": lambda b: empirical(p, b, **options),
    }[kind](padded(p))
    v = p.tree(p.arrays["hvp/v"][2])
    got = dense_hessian.flat(operator.matvec(v))
    np.testing.assert_allclose(got, p.arrays[f"hvp/{kind}"][2], rtol=0, atol=1e-12)


@pytest.mark.full(plain=["1"])
@pytest.mark.parametrize("parts", [1, 3])
def test_linearized_once_is_the_same(parts):
    p = dense_hessian.load("conv_init")
    batches = [p.batch] if parts == 1 else p.unequal_batches()
    operator = hessian(p, batches, linearize=True)
    for i, v in enumerate(p.arrays["hvp/v"]):
        got = dense_hessian.flat(operator.matvec(p.tree(v)))
        np.testing.assert_allclose(got, p.arrays["hvp/Hv"][i], rtol=0, atol=1e-12)


@pytest.mark.full(plain=["temperature-Gv"])
@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("module", ["Conv_0", "Dense_0", "temperature"])
def test_a_mask_gives_a_diagonal_block(kind, module):
    p = dense_hessian.load("conv_init")
    operator = BUILD[kind](p, [p.batch], mask=trees.matching(f"^{module}"))
    whole = dense_hessian.dense(BUILD[kind](p, [p.batch]))
    inside = dense_hessian.flat(
        jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.full(x.shape, trees.path_name(path).startswith(module)),
            p.params,
        )
    )
    got = dense_hessian.dense(operator)
    assert operator.size == inside.sum() == len(got)
    np.testing.assert_allclose(got, whole[inside][:, inside], rtol=0, atol=1e-13)
    if kind == "Hv":
        top = np.linalg.eigvalsh(got)[-1]
        np.testing.assert_allclose(top, p.arrays[f"block/{module}/top"], rtol=1e-10)
        np.testing.assert_allclose(
            np.trace(got), p.arrays[f"block/{module}/trace"], rtol=1e-9
        )


@pytest.mark.full
@pytest.mark.parametrize("kind", [*BUILD, "fisher", "preconditioned"])
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_symmetry(kind, dtype):
    p = dense_hessian.load("conv_init", dtype)
    batches = p.unequal_batches()
    if kind == "fisher":
        operator = curvature.fisher(p.model_fn, p.params, batches, jax.random.key(1))
    elif kind == "preconditioned":
        d = jax.tree.map(lambda x: 0.1 + jnp.abs(x), p.params)
        operator = curvature.preconditioned(hessian(p, batches), d)
    else:
        operator = BUILD[kind](p, batches)
    u, v = (p.tree(x, dtype) for x in p.arrays["hvp/v"][:2])
    one = dense_hessian.flat(u) @ dense_hessian.flat(operator.matvec(v))
    two = dense_hessian.flat(v) @ dense_hessian.flat(operator.matvec(u))
    assert abs(one - two) <= (1e-13 if dtype == jnp.float64 else 1e-5) * abs(one)


def test_narrow_parameters_are_cast_up():
    p = dense_hessian.load("mlp_init", jnp.float32)
    narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), p.params)
    seen = []

    def loss(w, b):
        seen.append({x.dtype for x in jax.tree.leaves(w)})
        return p.loss(w, b)

    operator = curvature.hessian(loss, narrow, [p.batch])
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), narrow)
    expected = curvature.hessian(p.loss, wide, [p.batch])
    v = p.tree(p.arrays["hvp/v"][0], jnp.float32)
    chex.assert_trees_all_equal(operator.matvec(v), expected.matvec(v))
    assert seen and all(kinds == {jnp.dtype(jnp.float32)} for kinds in seen)


def test_integer_leaves_do_not_move():
    params = {"w": jnp.array([1.0, 2.0]), "n": jnp.int32(3), "none": None}
    operator = curvature.hessian(
        lambda p, b: p["n"] * jnp.sum(p["w"] ** 2 * b) / 2, params, [jnp.ones(2)]
    )
    v = {"w": jnp.array([1.0, 5.0]), "n": None, "none": None}
    got = operator.matvec(v)
    assert got["w"].tolist() == [3.0, 15.0] and got["n"] is None


def placed(tree, mesh, spec):
    return jax.device_put(tree, NamedSharding(mesh, spec))


@pytest.mark.full(plain=["1-Fv"])
@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("parts", [1, 2])
def test_one_device_is_eight(kind, parts):
    p = dense_hessian.load("mlp_init")
    mesh = Mesh(np.array(jax.devices()), ("data",))
    halves = [{k: x[i * 8 : (i + 1) * 8] for k, x in p.batch.items()} for i in (0, 1)]
    batches = [p.batch] if parts == 1 else halves
    sharded = [placed(b, mesh, P("data")) for b in batches]
    there = p._replace(params=placed(p.params, mesh, P()))
    v = p.tree(p.arrays["hvp/v"][0])
    one = BUILD[kind](p, batches).matvec(v)
    eight = BUILD[kind](there, sharded).matvec(placed(v, mesh, P()))
    chex.assert_trees_all_close(one, eight, rtol=1e-12, atol=1e-14)
    assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(eight))


def test_compiled_programs_are_found_again():
    p, traced = dense_hessian.load("mlp_trained"), []

    def loss(w, b):
        traced.append(1)
        return p.loss(w, b)

    v = p.tree(p.arrays["hvp/v"][0])
    for batches in ([p.batch], p.unequal_batches()):
        curvature.hessian(loss, p.params, batches).matvec(v)
        count = len(traced)
        moved = jax.tree.map(lambda x: 2 * x, p.params)
        curvature.hessian(loss, moved, batches).matvec(v)
        assert len(traced) == count


def test_flops_of_a_product():
    sizes = (784, 256, 256, 10)
    params = {
        f"Dense_{i}": {
            "kernel": jax.ShapeDtypeStruct((a, b), jnp.float32),
            "bias": jax.ShapeDtypeStruct((b,), jnp.float32),
        }
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    }
    batch = {
        "x": jax.ShapeDtypeStruct((512, 784), jnp.float32),
        "y": jax.ShapeDtypeStruct((512,), jnp.int32),
    }
    p = dense_hessian.load("mlp_init")
    product = HessianProduct(example_weights=None, loss_fn=p.loss)
    point = Point(params, jax.tree.map(lambda _: None, params))

    def flops(fn, *args):
        return jax.jit(fn).lower(*args).compile().cost_analysis()["flops"]

    ratio = flops(product, point, batch, params) / flops(
        jax.grad(p.loss), params, batch
    )
    assert 1.5 < ratio <= 2.1
