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


def svg_page(**more):
    figure = Figure()
    figure.subplots().plot([0, 1])
    sections = [
        Section("first", ["one", "two"], code="a --b <c>"),
        Section("second", figures={"line": figure}, captions={"line": "a > b"}),
        Section("third", table=[("name", "score"), ("a", "1.5 ± 0.2 %")], folded=True),
    ]
    return html_page("page", sections, pictures="svg", **more)


def test_pictures_of_lines_are_sharp_and_the_same_each_time():
    text = svg_page()
    data = re.search(r"image/svg\+xml;base64,([^\"]+)\"", text).group(1)
    assert base64.b64decode(data).startswith(b"<?xml")
    assert text == svg_page()


def test_contents_captions_code_and_folded_sections():
    text = svg_page(contents=True)
    reader = Reader()
    reader.feed(text)
    inside = [place for place in reader.loaded if not place.startswith("data:")]
    assert inside == ["#part0", "#part1", "#part2"]
    assert all(f'id="part{i}"' in text for i in range(3))
    assert "<figcaption>a &gt; b</figcaption>" in text
    assert "<pre>a --b &lt;c&gt;</pre>" in text
    assert reader.tags.count("p") == 2
    assert "<summary>third</summary>" in text
    assert '<td class="n">1.5 ± 0.2 %</td>' in text and "<td>a</td>" in text
