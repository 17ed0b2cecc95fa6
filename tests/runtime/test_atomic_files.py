"""Files that are replaced as a whole or not at all."""

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.atomic_files import write_text


def test_a_file_that_cannot_be_written_is_told_in_one_line(tmp_path):
    path = tmp_path / "nowhere" / "results.json"
    with pytest.raises(InputError, match="^cannot write .*results.json: no such file"):
        write_text(path, "{}")
    path = tmp_path / "results.json"
    path.write_text("old")
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert path.read_text() == "new"
