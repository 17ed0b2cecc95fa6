"""The page of the lab as a file."""

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.html_page import Section, write


def test_the_file_is_the_page(tmp_path):
    path = write(tmp_path, "run", [Section("a < b", "text")])
    assert path == tmp_path / "report.html"
    assert "a &lt; b" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot write .*report.html: "):
        write(tmp_path / "none", "run", [])
