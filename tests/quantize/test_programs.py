"""Quantizers without a row of the catalog: compiled, batched, narrower, on devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.diagnostics.hardware import crossbar, memse, relu_moments
from jaxopt_lab.quantize import (
    GenieGrid,
    GPTQGrid,
    LinearGrid,
    ProductGrids,
    QwixGrid,
    ZeroQGrid,
    fake_quant,
    group_product,
    llm_int8,
    low_rank_sparse,
    monte_carlo,
    outlier_tune,
    quant_matmul,
    quantease_outliers,
    quantize_updates,
)

GRIDS = {
    "linear": LinearGrid(4),
    "not symmetric": LinearGrid(4, symmetric=False),
    "tensor": LinearGrid(4, granularity="tensor"),
    "column": LinearGrid(4, granularity="column"),
    "group": LinearGrid(4, granularity="group", group_size=4),
    "gptq": GPTQGrid(3),
    "qwix": QwixGrid(4),
    "zeroq": ZeroQGrid(4),
    "genie": GenieGrid(3),
}
RNG = np.random.default_rng(0)
# Heavy tails, for the methods that keep outliers apart.
WEIGHTS, TOKENS = RNG.standard_t(3, size=(2, 8, 16)), RNG.normal(size=(2, 32, 16))


def every(weight, x):
    """Values by quantizer; the last axis of both is the inputs."""
    found = {n: grid.encode(weight).dequantize() for n, grid in GRIDS.items()}
    gram = x.T @ x
    products = ProductGrids(LinearGrid(8), LinearGrid(8), LinearGrid(8))

    def product(x, weight):
        return jnp.sum(jnp.sin(quant_matmul(x, weight, products)))

    tx = quantize_updates(4)
    coded = LinearGrid(4, granularity="group", group_size=4).encode(weight)
    folded = outlier_tune(
        weight.T, jnp.zeros(len(weight), x.dtype), x.min(0), x.max(0), bits=6
    )
    layers = [crossbar(weight, noise=0.01, levels=64), relu_moments]
    outliers, report = quantease_outliers(weight, gram, bits=3, fraction=0.05, sweeps=3)
    parts, _ = low_rank_sparse(weight, gram)
    return {
        **found,
        "fake_quant": jax.grad(lambda w: jnp.sum(fake_quant(w, GRIDS["gptq"]) ** 2))(
            weight
        ),
        "quant_matmul": jax.grad(product, (0, 1))(x, weight),
        "quantize_updates": tx.update(weight, tx.init(weight))[0],
        "group_product": group_product(x, coded),
        "llm_int8": llm_int8(x, weight, threshold=2.0).output,
        "outlier_tune": folded(x),
        "monte_carlo": monte_carlo(weight, samples=2.5, offset=0.3).dequantize(),
        "quantease_outliers": (outliers.dequantize(), report.error),
        "low_rank_sparse": parts.dequantize(),
        "memse": memse(layers, x, jnp.maximum(x @ weight.T, 0)).error,
    }


def same(found, wanted, tolerance):
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(wanted), strict=True
    ):
        scale = np.abs(np.asarray(b, np.float64)).max()
        np.testing.assert_allclose(
            np.asarray(a, np.float64), b, atol=tolerance * scale, err_msg=str(path)
        )


@pytest.mark.full
def test_compiled_batched_narrower_and_divided_over_devices_they_are_the_same():
    single = jax.jit(every)
    cases = [single(w, x) for w, x in zip(WEIGHTS, TOKENS, strict=True)]
    one = [jnp.asarray(x[0]) for x in (WEIGHTS, TOKENS)]
    same(every(*one), cases[0], 1e-10)
    batched = jax.jit(jax.vmap(every))(WEIGHTS, TOKENS)
    same(batched, jax.tree.map(lambda *x: np.stack(x), *cases), 1e-10)
    narrow = single(*(x.astype(jnp.float32) for x in one))
    assert {leaf.dtype for leaf in jax.tree.leaves(narrow)} == {jnp.dtype("float32")}
    same(narrow, cases[0], 2e-5)
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    for spec in (P("x", None), P(None, "x")):
        place = NamedSharding(mesh, spec)
        given = [jax.device_put(x, place) for x in one]
        # A step is that of the whole axis, not of the part on a device.
        same(jax.device_get(single(*given)), cases[0], 1e-10)
