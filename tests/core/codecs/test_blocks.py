"""The shapes of codes and scales, by the elements that share them."""

import numpy as np
import pytest

from jaxopt_lab.core.codecs.blocks import Blocks

CASES = [
    # shape, block, packed: codes, scales
    ((24, 32), 256, False, (24, 32), (3, 1)),
    ((24, 32), 16, True, (24, 16), (24, 2)),
    # Whole axes behind the one that is cut: two elements, three of them, one.
    ((5, 8, 2), 8, True, (5, 4, 2), (5, 2, 1)),
    ((4, 6, 3), 6, True, (4, 3, 3), (4, 3, 1)),
    ((6, 2), 6, True, (6, 1), (2, 1)),
    ((10, 30), 256, False, (10, 30), (2, 1)),
    ((7,), 4, True, (4,), (2,)),
    ((), 4, True, (2,), ()),
]


@pytest.mark.parametrize("shape, block, packed, codes, scales", CASES)
def test_shapes(shape, block, packed, codes, scales):
    cut = Blocks.of(shape, block, packed)
    assert (cut.codes_shape, cut.scales_shape) == (codes, scales)


@pytest.mark.parametrize("shape, block", [(c[0], c[1]) for c in CASES if c[2]])
def test_a_packed_block_has_half_of_its_elements_in_bytes(shape, block):
    cut = Blocks.of(shape, block, packed=True)
    assert np.prod(cut.codes_shape) == cut.count * -(-block // 2)
