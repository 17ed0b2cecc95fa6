"""Sizes of the pieces in which a tensor is passed."""

import jax
import pytest

from jaxopt_lab.transforms.compressed import chunks


@pytest.mark.parametrize("devices", [1, 4])
def test_pieces_divide_the_tensor_where_a_number_near_the_asked_one_does(
    devices, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    other = 0
    for unit in (1, 3):
        for units in (*range(1, 60), 97, 120, 121):
            size = units * unit
            rows = chunks.rows_for(size, unit)
            least = rows * unit
            assert size % least == 0 and rows in (1, devices)
            for chunk in range(least, 40 * unit, 2 * unit):
                wanted = min(size, chunk // least * least)
                even = [
                    n
                    for n in range(least, wanted + 1, least)
                    if size % n == 0 and 4 * n >= wanted
                ]
                expected = max(even, default=chunk)
                assert chunks.even_chunk(size, unit, chunk) == expected
                other += expected != wanted
    assert other > 100
    # Blocks that do not divide the tensor, nothing to cut, no pieces.
    assert chunks.even_chunk(20, 3, 6) == 6 and chunks.even_chunk(0, 3, 6) == 6
    assert chunks.even_chunk(18, 3, None) is None
