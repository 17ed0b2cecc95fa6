"""Costs of mixers over the length of the sequence; times are left to the command."""

import itertools

import jax
import pytest

from experiments.benchmarks import sequence_length


@pytest.fixture(autouse=True)
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


LENGTHS = (64, 256, 1024)


def costs(name, lengths, **options):
    found = [sequence_length.cost(name, n, **options) for n in lengths]
    assert all(cost.flops > 0 for cost in found)
    return found


def test_a_linear_layer_grows_linearly():
    found = costs("norm_aware", (64, 128, 256), features=4, gradients=False)
    ((operations, _),) = sequence_length.growth(found)
    # Windows of convolutions meet fewer borders of larger images.
    assert operations == pytest.approx(2, rel=0.05)


@pytest.mark.full
@pytest.mark.parametrize("name", ["hydra", "forward", "sum", "norm_aware"])
def test_operations_and_bytes_of_linear_layers_grow_linearly(name):
    found = costs(name, LENGTHS)
    ((operations, _),) = sequence_length.growth(found)
    assert operations == pytest.approx(4, rel=0.05)
    # The largest of several linear functions, with the parameters.
    for one, other in itertools.pairwise(found):
        assert other.peak < 4.5 * one.peak


@pytest.mark.full
def test_those_of_attention_do_not():
    found = costs("attention", LENGTHS)
    ((operations, _),) = sequence_length.growth(found)
    assert operations > 6 and found[2].peak > 6 * found[1].peak
