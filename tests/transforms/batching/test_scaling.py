"""Learning rates by the batch size."""

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.batching.scaling import regime_adaptation, scale_lr


def test_rules_and_their_saturation():
    assert scale_lr(0.1, 512, 128) == 0.4
    assert scale_lr(0.1, 512, 128, rule="sqrt") == 0.2
    assert scale_lr(0.1, 4096, 128, saturation_batch=512) == scale_lr(0.1, 512, 128)
    assert scale_lr(0.1, 128, 128) == 0.1


def test_a_schedule_and_a_traced_rate():
    scaled = scale_lr(lambda count: 0.1 * count, 256, 128)
    assert float(scaled(jnp.int32(3))) == pytest.approx(0.6)
    slope = jax.grad(lambda rate: scale_lr(rate, 256, 64, rule="sqrt"))(0.1)
    assert float(slope) == 2.0


def test_boundaries_come_a_whole_factor_later():
    step = lambda epoch: 1.0 if epoch < 10 else 0.1
    later = regime_adaptation(step, 300, 128)  # 3 times
    assert [later(e) for e in (0, 29, 30, 31)] == [1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    "call, line",
    [
        (lambda: scale_lr(0.1, 0, 128), "batch must"),
        (lambda: scale_lr(0.1, 8, 128, rule="cube"), "rule"),
        (lambda: scale_lr(-0.1, 8, 128), "learning_rate must be at least 0"),
        (lambda: regime_adaptation(lambda e: e, 8, 0), "base_batch must be a whole"),
    ],
)
def test_bad_input(call, line):
    with pytest.raises(InputError, match=line):
        call()
