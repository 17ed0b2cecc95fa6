"""Stacks with norms before and behind: Mix-LN's code, and limits of one block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import decoder_layers

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import norm_placement, transformer_block

X = np.random.default_rng(0).normal(size=(2, 5, 8))


@pytest.mark.full(plain=["mix_4layers_1post"])
@pytest.mark.parametrize(
    "case", ["mix_4layers_1post", "mix_6layers_2post_narrow", "post_ln_baseline"]
)
def test_vectors(case):
    decoder_layers.check("mix_ln", case)


def test_which_blocks_are_post():
    assert norm_placement(12, kind="mix") == ("post",) * 3 + ("pre",) * 9
    assert norm_placement(24, kind="mix").count("post") == 6
    assert norm_placement(10, kind="mix", post_fraction=0.3).count("post") == 3
    assert norm_placement(7, kind="mix").count("post") == 1
    for fraction, kind in ((0.0, "pre"), (1.0, "post")):
        mixed = norm_placement(5, kind="mix", post_fraction=fraction)
        assert mixed == norm_placement(5, kind=kind) == (kind,) * 5
    with pytest.raises(InputError, match="post_fraction must lie in"):
        norm_placement(5, kind="mix", post_fraction=1.5)
    with pytest.raises(InputError, match="depth must be a whole number"):
        norm_placement(0)
    with pytest.raises(InputError, match="unknown kind 'sandwich'"):
        norm_placement(5, kind="sandwich")


def test_post_blocks_forget_the_size_of_their_input():
    block = transformer_block(8, heads=2, placement="post", eps=1e-12)
    params, _ = block.init(jax.random.key(0))
    run = jax.jit(lambda x: block.apply(params, {}, x, train=True)[0])
    for size in (1e-2, 1e3):
        y = np.asarray(run(size * X))
        np.testing.assert_allclose(np.mean(y**2, axis=-1), 1, rtol=1e-6)
        np.testing.assert_allclose(np.mean(y, axis=-1), 0, atol=1e-6)


def test_scales_multiply_modules_and_norms():
    """Two modules a block: 1/n of three blocks is a sixth, as in the output weights."""
    plain = transformer_block(8, heads=2, param_dtype=jnp.float64)
    scaled = transformer_block(8, heads=2, residual="1/n", depth=3)
    fourth = transformer_block(8, heads=2, scaled_index=4)

    @jax.jit
    def run(params):
        def folded(by, ending):
            return {n: p * (by if n.endswith(ending) else 1) for n, p in params.items()}

        outs = ("_out", "_out_bias")
        halves = ("_norm_scale", "_norm_bias")
        pairs = ((scaled, params), (plain, folded(1 / 6, outs)))
        pairs += ((fourth, params), (plain, folded(0.5, halves)))
        return [core.apply(own, {}, X, train=True)[0] for core, own in pairs]

    params, _ = plain.init(jax.random.key(0))
    one, two, three, four = run({n: p + 0.2 for n, p in params.items()})
    np.testing.assert_allclose(one, two, rtol=1e-12)
    np.testing.assert_allclose(three, four, rtol=1e-12)


def test_skipinit_and_fixup_start_at_the_identity():
    for residual in ("skipinit", "fixup"):
        block = transformer_block(8, residual=residual, depth=4)
        params, _ = block.init(jax.random.key(0))
        y, _ = jax.jit(lambda x, b=block, p=params: b.apply(p, {}, x, train=True))(X)
        np.testing.assert_allclose(y, X, rtol=1e-14)
        assert params["attention_multiplier"] == (residual == "fixup")
    plain = transformer_block(8).init(jax.random.key(0))[0]
    np.testing.assert_allclose(params["qkv"], plain["qkv"] / np.sqrt(8), rtol=1e-6)
    assert not np.any(params["mlp_out"])


def test_padding_and_later_tokens_are_not_seen():
    block = transformer_block(8, heads=2)
    params = {n: p + 0.2 for n, p in block.init(jax.random.key(0))[0].items()}
    valid = np.arange(5)[None] < np.array([[3], [5]])
    changed = np.where(np.arange(5)[None, :, None] < 3, X, 7.0)

    @jax.jit
    def run(x, filled):
        whole, _ = block.apply(params, {}, x, train=True)
        masked, _ = block.apply(params, {}, filled, train=True, mask=valid)
        return whole, masked, block.apply(params, {}, changed, train=True)[0]

    whole, masked, later = run(X, np.where(valid[..., None], X, np.nan))
    np.testing.assert_allclose(masked[0, :3], whole[0, :3], rtol=1e-12)
    np.testing.assert_allclose(masked[1], whole[1], rtol=1e-12)
    np.testing.assert_allclose(later[:, :3], whole[:, :3], rtol=1e-12)
    assert not np.any(masked[0, 3:])


def test_what_does_not_fit():
    with pytest.raises(InputError, match="heads must divide the features, 8; got"):
        transformer_block(8, heads=3)
    block = transformer_block(8)
    params = jax.eval_shape(block.init, jax.random.key(0))[0]
    with pytest.raises(InputError, match=r"takes inputs \(B, T, 8\); got \(2, 8\)"):
        block.apply(params, {}, jnp.ones((2, 8)), train=True)
