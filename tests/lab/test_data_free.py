"""Calibration of a trained run without its data."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import run
from jaxopt_lab.lab.data_free import ObservedNorms, data_free_inputs
from jaxopt_lab.lab.quantized_run import quantize_run


class Net(nnx.Module):
    def __init__(self, num_classes, *, rngs):
        draw = nnx.initializers.normal(0.3)
        self.conv = nnx.Conv(1, 4, (3, 3), strides=2, kernel_init=draw, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.head = nnx.Linear(4, num_classes, kernel_init=draw, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.norm(self.conv(x))).mean((1, 2)))


class Two(nnx.Module):
    def __init__(self):
        self.norms = nnx.List(nnx.BatchNorm(2, rngs=nnx.Rngs(0)) for _ in range(2))
        self.scale = nnx.Param(jnp.ones(2))

    def __call__(self, x, rngs):
        assert rngs is None
        return self.norms[1](2 * self.norms[0](x))


def test_every_normalization_is_observed_at_its_own_input():
    module = Two()
    module.norms[0].mean.set_value(jnp.array([1.0, 2.0]))
    paths = {path for path, _ in nnx.to_flat_state(nnx.state(module))}
    seen = ObservedNorms(module)
    seen.eval()
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    first, second = seen(x)
    np.testing.assert_array_equal(first[0], x)
    np.testing.assert_array_equal(first[1], [1, 2])
    np.testing.assert_allclose(second[0], 2 * (x - [[1, 2]]), rtol=1e-4)
    after = nnx.to_flat_state(nnx.state(seen))
    kept = {p[1:] for p, v in after if not isinstance(v, nnx.Intermediate)}
    assert kept == paths


class Few:
    seeds, kind = 2, "image"


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (Few(), {}, "has 2 seeds"),
        (Few(), {"method": "zerq"}, "unknown calibration 'zerq'"),
        (Few(), {"examples": 0}, "examples"),
        (type("Text", (), {"seeds": 1, "kind": "text"}), {}, "the run is on text"),
    ],
)
def test_bad_input(made, options, message):
    with pytest.raises(InputError, match=message) as error:
        data_free_inputs(made, **{"method": "zeroq", **options})
    assert "\n" not in str(error.value)


@pytest.mark.full
def test_a_trained_run_is_quantized_without_its_data(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 8, 8, 1)).astype(np.float32)
    y = np.arange(40) % 3
    data = ((x, y), (x[:10], y[:10]))
    options = {"steps": 6, "batch_size": 8, "report": "off", "out": tmp_path / "a"}
    found = run(Net, data, "sgd", **options)
    for method in ("zeroq", "genie"):
        made = data_free_inputs(found, method, examples=8, steps=30)
        assert made.inputs.shape == (8, 8, 8, 1)
        assert np.mean(made.losses[-5:]) < made.losses[0]
    coarse, report = quantize_run(
        found,
        "gptq",
        match="head",
        options={"bits": 3},
        examples=8,
        calibration="zeroq",
        calibration_steps=10,
    )
    ((_, told),) = report.layers.values()
    assert 0 < float(told.error) <= float(told.nearest_error)
    assert np.isfinite(coarse.evaluate()["loss"])
    with pytest.raises(InputError, match="unknown calibration"):
        quantize_run(found, "gptq", calibration="genei")
