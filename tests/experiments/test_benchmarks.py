"""Counts of the benchmarks; times are left to the commands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import (
    fit_loop,
    layers,
    memory_saving,
    memse,
    sam_step,
    sharpness,
    unroll,
    unroll_peers,
)


@pytest.fixture(autouse=True)
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


# Bytes of the program that users get.
@pytest.mark.full
def test_sam_costs_what_a_sam_step_written_by_hand_costs():
    figures = sam_step.figures(sam_step.compiled_steps())
    assert 1.99 <= figures["flops, sam over plain (bar: 2.00 to 2.02)"] <= 2.02
    assert figures["flops, sam over by hand"] == pytest.approx(1, abs=1e-4)
    for what in ("temp", "argument"):
        ours = figures[f"{what} bytes, sam"]
        assert abs(ours - figures[f"{what} bytes, by hand"]) <= 1024


@pytest.mark.full
def test_flops_of_the_methods_are_within_the_bars():
    bars = [bar for bar in sharpness.BARS if bar.flops is not None]
    found = sharpness.counts(sharpness.compiled_steps([b.method for b in bars]))
    assert all({bar.method, bar.against} <= found.keys() for bar in bars)
    assert sharpness.flops_over_bars(found) == []
    # Not below either: a pass that went missing would go unnoticed.
    at_least = {"sam": 1.99, "msam num_shards=8": 1.99, "lookbehind k=5": 5.9}
    for label, passes in at_least.items():
        assert found[label]["plain steps"] >= passes


@pytest.mark.full
def test_flops_on_the_convolutional_network_are_within_the_bars():
    found = sharpness.counts(sharpness.convnet_steps())
    bars = [bar for bar in sharpness.CONVNET_BARS if bar.flops is not None]
    assert bars and all({bar.method, bar.against} <= found.keys() for bar in bars)
    assert sharpness.flops_over_bars(found) == []


def test_a_figure_above_its_bar_is_named():
    flops = {"plain": 1.0, "lookbehind k=5": 10.0}
    found = {label: {"flops": value} for label, value in flops.items()}
    assert sharpness.flops_over_bars(found) == [
        "flops, lookbehind k=5 over plain: 10.0000 > 6.1"
    ]


def test_every_row_of_the_family_is_measured():
    from jaxopt_lab import catalog

    rows = {
        r.name for r in catalog.of_kind("transform").values() if r.family == "sharpness"
    }
    assert {label.split()[0] for label in sharpness.methods()} == rows
    assert {bar.method for bar in sharpness.BARS} <= set(sharpness.methods())


@pytest.mark.full
def test_the_hypergradient_beside_a_peer_is_the_one_without_remat():
    value = unroll.outer(3, remat="none")
    weights = unroll.net(unroll.HIDDEN, jax.random.key(0))
    args = jnp.float32(unroll.RATE), weights, unroll.data()
    loss, (rate, by_weights) = jax.value_and_grad(value, (0, 1))(*args)
    expected = [loss, rate, jnp.linalg.norm(by_weights[0][0])]
    figures = unroll_peers.ours(3)
    np.testing.assert_allclose(figures["found"], np.array(expected), rtol=1e-5)
    assert figures["temporaries"] > 0 and figures["seconds"] > 0


def test_a_peer_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr(unroll_peers, "missing", lambda: "torchopt")
    assert unroll_peers.main([]) == 2
    assert "torchopt is not installed" in capsys.readouterr().err


def test_blocks_keep_what_the_bars_allow():
    """Shapes alone: nothing is compiled."""
    found = memory_saving.figures()
    assert found["mesa"]["over plain"] <= 0.6
    assert found["wta_crs"]["of the dense layers"] <= 0.5
    # Codes of 16 widths a position: three of qkv, four of the hidden layer twice, and
    # of the five other inputs.
    rows = memory_saving.BATCH * memory_saving.LENGTH * memory_saving.WIDTH
    codes = 16 * rows * memory_saving.DEPTH
    assert found["mesa"]["residuals"] == pytest.approx(codes, rel=0.05)
    assert found["checkpoint"]["residuals"] < found["mesa"]["residuals"]


@pytest.mark.full
def test_the_layers_of_the_benchmark_state_bytes_and_passes():
    found = layers.figures()
    assert {"ghost_batch_norm", "adab2n", "power_norm"} <= set(found)
    for row in found.values():
        assert row["bytes"] > 0
        assert row["bar"] == pytest.approx(1.15 * max(1, row["passes"] / 3))


@pytest.mark.full
@pytest.mark.parametrize("make", [memse.mlp, memse.cnn])
def test_the_predicted_error_is_inside_of_the_simulated_interval(make):
    """1e4 draws, 99.9 %."""
    network = make()
    mean, error = memse.monte_carlo(network, 10_000)()
    assert abs(memse.prediction(network)() - mean) <= 3.3 * error


def test_both_loops_take_the_same_steps():
    figures = fit_loop.measure(steps=2, pairs=2)
    ratios = [x for x in figures.values() if isinstance(x, fit_loop.Ratio)]
    assert len(ratios) == 2 and all(x.pairs == 2 and x.median > 0 for x in ratios)
