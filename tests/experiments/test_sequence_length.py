"""Costs of mixers over the length of the sequence; times are left to the command."""

import jax
import pytest

from experiments.benchmarks import sequence_length


@pytest.fixture(autouse=True)
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


def growth(name, lengths, **options):
    costs = [sequence_length.cost(name, n, **options) for n in lengths]
    assert all(cost.flops > 0 for cost in costs)
    return sequence_length.growth(costs)


def test_a_linear_layer_grows_linearly():
    ((operations, _),) = growth(
        "norm_aware", (64, 128, 256), features=4, gradients=False
    )
    # Windows of convolutions meet fewer borders of larger images.
    assert operations == pytest.approx(2, rel=0.05)


@pytest.mark.full
@pytest.mark.parametrize("name", ["hydra", "forward", "sum", "norm_aware"])
def test_operations_and_bytes_of_linear_layers_grow_linearly(name):
    for operations, peak in growth(name, sequence_length.LENGTHS):
        assert operations == pytest.approx(2, rel=0.05)
        assert peak == pytest.approx(2, rel=0.1)


@pytest.mark.full
def test_those_of_attention_do_not():
    *_, (operations, peak) = growth("attention", sequence_length.LENGTHS)
    assert operations > 3 and peak > 3
