"""Masked spans: exact counts, the inverse, a mixture, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import (
    SpanTokens,
    corrupt_spans,
    corrupted_length,
    restore_spans,
    span_corruption,
)

SPECIAL = SpanTokens.behind(30, 6)
TEXT = (np.arange(40) % 30).astype(np.int32)
KEYS = jax.random.split(jax.random.key(0), 200)


def drawn(share, mean_span, keys=KEYS):
    own = {"special": SPECIAL, "share": share, "mean_span": mean_span}
    run = jax.jit(jax.vmap(lambda k: corrupt_spans(k, jnp.asarray(TEXT), **own)))
    return jax.device_get(run(keys))


def masked_places(row):
    """Places of the text that are masked, and the size of each span."""
    prefix = row[: list(row).index(SPECIAL.separator) - 1]
    rest = list(row[len(prefix) + 2 :])
    sizes = {}
    while rest and rest[0] in SPECIAL.sentinels:
        stop = rest.index(SPECIAL.eom)
        sizes[rest[0]], rest = stop - 1, rest[stop + 1 :]
    assert all(token == SPECIAL.pad for token in rest)
    hidden = []
    for token in prefix:
        hidden += [True] * sizes[token] if token in sizes else [False]
    return np.array(hidden), list(sizes.values())


@pytest.mark.parametrize(
    ("share", "mean_span", "masked", "spans"), [(0.3, 3.0, 12, 4), (0.25, 99.0, 10, 1)]
)
def test_counts_are_exact_spans_are_apart_and_nothing_is_lost(
    share, mean_span, masked, spans
):
    found = drawn(share, mean_span)
    assert found.tokens.shape == (
        200,
        corrupted_length(40, share=share, mean_span=mean_span),
    )
    assert np.all(found.prefix_length == 40 - masked + spans + 2)
    # The targets are the tokens of the spans, and the end of each.
    assert np.all(found.loss_mask.sum(axis=1) == masked + spans)
    places = np.zeros(40)
    for row, mask in zip(found.tokens, found.loss_mask, strict=True):
        assert restore_spans(row, special=SPECIAL).tolist() == TEXT.tolist()
        hidden, sizes = masked_places(row)
        assert len(sizes) == spans and sum(sizes) == masked == hidden.sum()
        # So many runs: none touches another.
        assert np.sum(np.diff(np.concatenate([[0], hidden])) == 1) == spans
        ends = row[mask] == SPECIAL.eom
        assert ends.sum() == spans and np.array_equal(row[mask][~ends], TEXT[hidden])
        places += hidden
    assert places.min() > 0


def test_every_choice_of_spans_is_as_likely():
    text = jnp.arange(5, dtype=jnp.int32)
    own = {"special": SPECIAL, "share": 0.6, "mean_span": 1.5}
    keys = jax.random.split(jax.random.key(1), 3000)
    run = jax.jit(jax.vmap(lambda k: corrupt_spans(k, text, **own).tokens))
    rows, counts = np.unique(np.asarray(run(keys)), axis=0, return_counts=True)
    # Two spans of the sizes (1, 2) or (2, 1), three places of the two gaps.
    assert len(rows) == 6
    assert np.sum((counts - 500) ** 2 / 500) < 20.5  # chi-square of 5, 0.1 %


def test_nothing_masked_is_next_tokens_and_padding_is_no_target():
    own = {"special": SPECIAL, "share": 0.0, "length": 44}
    found = jax.jit(lambda x: corrupt_spans(KEYS[0], x, **own))(TEXT)
    assert found.tokens.tolist() == [*TEXT, *[SPECIAL.pad] * 4]
    assert found.loss_mask.tolist() == [True] * 40 + [False] * 4
    assert int(found.prefix_length) == 0
    back = restore_spans(found.tokens, special=SPECIAL)
    assert back.tolist() == TEXT.tolist()


def test_a_mixture_has_rows_of_both_objectives():
    transform = span_corruption(special=SPECIAL, probability=0.5, share=0.3)
    batch = {
        "inputs": jnp.tile(jnp.asarray(TEXT)[None], (400, 1)),
        "id": jnp.arange(400),
    }
    run = jax.jit(lambda key: transform(key, batch))
    one, same, other = (run(jax.random.key(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one["inputs"], same["inputs"])
    assert not np.array_equal(one["inputs"], other["inputs"])
    assert np.array_equal(one["id"], batch["id"])
    spoilt = np.asarray(one["prefix_length"]) > 0
    assert abs(spoilt.sum() - 200) < 33  # 3.3 deviations
    rows = np.asarray(one["inputs"])
    assert np.all((rows == SPECIAL.separator).any(axis=1) == spoilt)
    for row in (*rows[:20], *rows[-20:]):
        assert restore_spans(row, special=SPECIAL).tolist() == TEXT.tolist()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"share": 0.3, "length": 50}, "length=50 is too short for 40 tokens with 4"),
        ({"share": 0.5, "mean_span": 1.0}, "6 sentinels for 20 spans; accepted: one"),
        ({"share": 0.9, "mean_span": 1.0}, "leaves 4 tokens to keep them apart"),
        ({"share": 1.0}, "share must lie in"),
        ({"special": SPECIAL._replace(eom=3)}, "special token 3 stands in the text"),
        ({"special": SPECIAL._replace(eom=36)}, "special tokens must be different"),
    ],
)
def test_what_is_refused(own, words):
    with pytest.raises(InputError, match=words):
        corrupt_spans(KEYS[0], TEXT, **{"special": SPECIAL, **own})


def test_batches_and_predictions_that_are_refused():
    transform = span_corruption(special=SPECIAL)
    with pytest.raises(InputError, match="no 'inputs' to corrupt"):
        transform(KEYS[0], {"text": TEXT})
    with pytest.raises(InputError, match=r"accepted: \(B, tokens\)"):
        transform(KEYS[0], {"inputs": TEXT})
    m, end, separator = SPECIAL.sentinels[0], SPECIAL.end, SPECIAL.separator
    with pytest.raises(InputError, match="sentinel 30 of the text has no target"):
        restore_spans([1, m, end, separator], special=SPECIAL)
    with pytest.raises(InputError, match="target of sentinel 30 has no end"):
        restore_spans([1, m, end, separator, m, 4], special=SPECIAL)
