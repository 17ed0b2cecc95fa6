"""Folders that are made, and those that cannot be."""

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import Closing, make_writable


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    folder = tmp_path / "a" / "b"
    for _ in range(2):  # the second time it exists
        make_writable(folder)
    assert folder.is_dir() and not list(folder.iterdir())


def test_a_file_in_its_place_is_told_in_one_line(tmp_path):
    (tmp_path / "a").write_text("")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(InputError, match="cannot write into") as caught:
            make_writable(folder)
        assert "\n" not in str(caught.value)


def test_an_error_inside_still_closes():
    class Counted(Closing):
        closed = 0

        def close(self):
            self.closed += 1

    counted = Counted()
    with pytest.raises(KeyError), counted:
        raise KeyError
    assert counted.closed == 1
