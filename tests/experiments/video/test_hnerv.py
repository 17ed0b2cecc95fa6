"""HNeRV: shapes, exact counts, codes, and a tiny clip."""

import dataclasses

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st

from experiments.video.compressed import compress_video, decompress_video, psnr
from experiments.video.hnerv import (
    HNeRV,
    decode,
    encode,
    init_hnerv,
    solve_width,
    stored_numbers,
    time_codes,
)
from experiments.video.huffman import (
    decode as decode_bits,
)
from experiments.video.huffman import (
    huffman_bits,
    huffman_lengths,
    words,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import entropy_bits

SIZES = HNeRV(
    height=16,
    width=32,
    encoder=(4, 2, 2),
    decoder=(4, 2),
    channels=7,
    hidden=5,
    lower=3,
)
NERV = dataclasses.replace(SIZES, encoder=(), frequencies=4, kernels=(0 + 1, 3))
KEY = jax.random.key(0)


@pytest.mark.full
def test_stages_and_frames_have_the_sizes_of_the_strides():
    assert SIZES.stages == [(1, 4, 7, 6), (3, 2, 6, 5)]
    assert SIZES.grid == (1, 2) and SIZES.upscale == 2

    @jax.jit
    def run(key, frames):
        params, other = init_hnerv(key, SIZES), init_hnerv(key, NERV)
        small = encode(SIZES, params, frames)
        wide = 100 * small
        times = time_codes(NERV, jnp.linspace(0.0, 1.0, 2))
        return params, small, decode(SIZES, params, wide), decode(NERV, other, times)

    frames = np.random.default_rng(0).random((2, 16, 32, 3))
    params, small, video, baseline = run(KEY, frames)
    assert small.shape == (2, 1, 2, 4)
    for found in (video, baseline):
        assert found.shape == frames.shape
        assert np.all(found >= 0) and np.all(found <= 1)
    leaves = jax.tree.leaves(params["decoder"])
    assert stored_numbers(SIZES, 2) == sum(x.size for x in leaves) + small.size
    assert stored_numbers(NERV, 2) == stored_numbers(NERV, 3)


def test_the_width_is_the_largest_that_fits():
    counts = [
        stored_numbers(dataclasses.replace(SIZES, channels=c), 3) for c in range(1, 9)
    ]
    assert np.all(np.diff(counts) > 0)
    for extra, wanted in ((0, 6), (-1, 5)):
        assert solve_width(SIZES, 3, counts[5] + extra).channels == wanted


@hypothesis.settings(deadline=None, max_examples=50, database=None, derandomize=True)
@hypothesis.given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_huffman_bits_come_back_and_are_near_the_entropy(codes):
    codes = np.asarray(codes)
    lengths = huffman_lengths(codes)
    table = words(lengths)
    text = "".join(table[int(c)] for c in codes)
    assert len(text) == huffman_bits(codes)
    assert list(decode_bits(text, lengths, len(codes))) == codes.tolist()
    bound = entropy_bits(codes)
    assert bound - 1e-9 <= len(text) <= bound + len(codes)
    with pytest.raises(InputError, match="cut"):
        decode_bits(text[:-1], lengths, len(codes))


@pytest.mark.full
def test_sizes_of_a_compressed_video_are_counted():
    frames = np.random.default_rng(1).random((3, 16, 32, 3))

    @jax.jit
    def run(key, frames):
        params = init_hnerv(key, SIZES)
        small = encode(SIZES, params, frames)
        return params, small, decode(SIZES, params, small)

    params, small, video = jax.device_get(run(KEY, frames))
    found = compress_video(params, small)
    weights = [c for c in jax.tree.leaves(found.decoder) if c.dtype == jnp.int32]
    every = np.concatenate([np.asarray(c).ravel() for c in weights])
    codes = huffman_bits(every) + huffman_bits(np.asarray(found.embeddings.codes))
    assert found.sizes.codes == codes and found.sizes.tables == 8 * (256 + 64)
    halves = [c for c in jax.tree.leaves(found.decoder) if c.dtype == jnp.float16]
    ranges = sum(c.size for c in halves) + found.embeddings.low.size * 2
    assert found.sizes.ranges == 16 * ranges
    sizes = found.sizes
    assert sizes.total == sizes.codes + sizes.tables + sizes.ranges
    apart = np.asarray(decompress_video(SIZES, found)) - video
    assert np.mean(apart**2) < 1e-3


def test_bad_input_is_one_line():
    for call, text in (
        (lambda: HNeRV(height=15, width=16), "must divide"),
        (lambda: solve_width(SIZES, 3, 10), "one channel needs"),
        (lambda: huffman_lengths(np.zeros(0, int)), "at least one"),
    ):
        with pytest.raises(InputError, match=text) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.full
def test_a_clip_is_learned():
    y, x = np.mgrid[:16, :32] / 16
    clip = np.stack([0.5 + 0.4 * np.sin(3 * x + 2 * y + 0.4 * t) for t in range(4)])
    clip = np.repeat(clip[..., None], 3, axis=-1).astype(np.float32)
    params, tx = init_hnerv(KEY, SIZES), optax.adam(5e-3)

    def loss(params):
        found = decode(SIZES, params, encode(SIZES, params, clip))
        return jnp.mean((found - clip) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state, first = tx.init(params), loss(params)
    for _ in range(200):
        params, state = step(params, state)
    assert loss(params) < 0.1 * first
    found = compress_video(params, encode(SIZES, params, clip))
    assert psnr(decompress_video(SIZES, found), clip) > 20
