"""The self-contained page."""

import base64
import re
from html.parser import HTMLParser

from matplotlib.figure import Figure

from jaxopt_lab.plotting.page import Section, html_page


class Reader(HTMLParser):
    """Collects tags, and the attributes that would load something."""

    def __init__(self):
        super().__init__()
        self.tags, self.loaded = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href")]


def page():
    figure = Figure()
    figure.subplots().plot([0, 1])
    sections = [
        Section("first", "a & b", [("name", "value"), ("<x>", "1")]),
        Section("second", figures={'a "line"': figure}),
    ]
    return html_page("of a run", sections)


def test_nothing_is_loaded_from_elsewhere():
    reader = Reader()
    reader.feed(page())
    assert len(reader.loaded) == 1
    assert reader.loaded[0].startswith("data:image/png;base64,")
    assert "script" not in reader.tags and "link" not in reader.tags


def test_the_picture_is_a_picture():
    data = re.search(r"base64,([^\"]+)\"", page()).group(1)
    assert base64.b64decode(data)[:8] == b"\x89PNG\r\n\x1a\n"


def test_texts_are_escaped():
    text = page()
    assert "<td>&lt;x&gt;</td>" in text and "a &amp; b" in text
    assert 'alt="a &quot;line&quot;"' in text


def test_a_table_has_a_head_and_rows():
    reader = Reader()
    reader.feed(page())
    assert (reader.tags.count("th"), reader.tags.count("td")) == (2, 2)
