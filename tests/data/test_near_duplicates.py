"""Signatures estimate similarities without bias; groups are components."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import (
    band_groups,
    deduplicate,
    exact_overlap,
    hit_probability,
    jaccard,
    minhash,
)
from jaxopt_lab.data.min_hashes import normalized, shingles

RNG = np.random.default_rng(0)
LETTERS = np.array(list("abcdefghij klmnop"))


def text(length=300, seed=0):
    return "".join(np.random.default_rng(seed).choice(LETTERS, length))


def edited(document, share, seed):
    """The text with the letters of one stretch replaced."""
    count = round(share * len(document))
    start = np.random.default_rng(seed).integers(0, len(document) - count)
    return document[:start] + "z" * count + document[start + count :]


def test_substrings_are_those_of_a_set_and_the_similarity_is_theirs():
    a, b = text(200, 1), edited(text(200, 1), 0.2, 2)

    def of(document, width):
        clean = normalized(document)
        return {clean[i : i + width] for i in range(len(clean) - width + 1)}

    for width in (1, 6, 13):
        assert len(shingles(a, width=width)) == len(of(a, width))
        wanted = len(of(a, width) & of(b, width)) / len(of(a, width) | of(b, width))
        assert jaccard(a, b, width=width) == pytest.approx(wanted, abs=1e-12)
    assert normalized(" It's\n\ta  TEST_case, (naïve) ½ ") == "its a testcase naïve ½"
    assert jaccard("", "?!") == 1 and jaccard("", "a") == 0


def test_the_agreement_is_the_jaccard_similarity():
    for share in (0.05, 0.3):
        a, b = text(600, 3), edited(text(600, 3), share, 4)
        wanted = jaccard(a, b)
        assert 0.2 < wanted < 0.95
        pairs = [minhash([a, b], permutations=128, seed=s) for s in range(20)]
        found = np.array([np.mean(one == two) for one, two in pairs])
        deviation = np.sqrt(wanted * (1 - wanted) / 128)
        assert abs(found.mean() - wanted) < 4 * deviation / np.sqrt(20)
        assert 0.6 < found.std(ddof=1) / deviation < 1.5


def test_bands_meet_with_the_probability_of_the_formula():
    a, b = text(600, 5), edited(text(600, 5), 0.05, 6)
    wanted = hit_probability(jaccard(a, b), bands=4, rows=5)
    assert 0.1 < wanted < 0.98
    met = [
        deduplicate([a, b], bands=4, rows=5, seed=s).kept.sum() == 1 for s in range(100)
    ]
    assert abs(np.mean(met) - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 100)


def test_equal_documents_join_and_the_order_does_not_matter():
    base = [text(300, s) for s in range(12)]
    documents = [*base, *(edited(d, 0.01, 9) for d in base[:5]), base[0].upper() + " !"]
    groups = deduplicate(documents).groups
    assert groups[-1] == 0  # equal up to case and punctuation
    order = RNG.permutation(len(documents))
    moved = deduplicate([documents[i] for i in order]).groups
    same = groups[order][:, None] == groups[order]
    assert np.array_equal(moved[:, None] == moved, same)
    signatures = minhash(documents, permutations=117)
    agree = (signatures.reshape(-1, 1, 9, 13) == signatures.reshape(1, -1, 9, 13)).all(
        -1
    )
    reach = np.linalg.matrix_power(agree.any(-1).astype(float), len(documents)) > 0
    assert np.array_equal(groups[:, None] == groups, reach)


def test_global_removes_what_local_does_but_for_the_representative():
    base = [text(300, s) for s in range(6)]
    documents = [*base, *base, *base[:3], text(300, 99)]
    source = np.array([0] * 6 + [1] * 6 + [0, 1, 1, 2])
    local = deduplicate(documents, within=source)
    whole = deduplicate(documents)
    assert local.kept.sum() == 13 and whole.kept.sum() == 7
    # A local group lies within a global one.
    pairs = local.groups[:, None] == local.groups
    assert np.all((whole.groups[:, None] == whole.groups)[pairs])
    assert np.all(source[local.groups] == source)
    assert exact_overlap([" " + base[2].upper(), "other"], documents).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: minhash([]), "a sequence of one document at least"),
        (lambda: minhash("one text"), "a sequence of one document at least"),
        (lambda: minhash(["a"], width=0), "width must be"),
        (lambda: deduplicate(["a"], within=[0, 1]), r"within must have shape \(1,\)"),
        (lambda: band_groups(np.ones((2, 5))), "9 bands of 13 need signatures"),
    ],
)
def test_what_they_refuse(call, words):
    with pytest.raises(InputError, match=words):
        call()
