"""Graphs of networkx and of files; without the package one line says so."""

import sys

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import from_networkx, make_graph, read_graph, to_networkx


class Plain:
    """As much of a graph of networkx as is read."""

    def __init__(self, nodes, edges, directed=False):
        self.nodes, self._edges, self._directed = nodes, edges, directed

    def edges(self, data):
        assert data
        return self._edges

    def is_directed(self):
        return self._directed


EDGES = [("a", "b", {"weight": 2}), ("b", "b", {}), ("b", "c", {"weight": 0.5})]


def test_an_undirected_graph_has_both_directions():
    graph, names = from_networkx(Plain(["c", "a", "b"], EDGES))
    assert names == ("c", "a", "b")
    assert graph.senders.tolist() == [1, 2, 2, 2, 0]
    assert graph.receivers.tolist() == [2, 2, 0, 1, 2]
    assert graph.weight.tolist() == [2.0, 1.0, 0.5, 2.0, 0.5]
    assert graph.weight.dtype == np.float32
    directed, _ = from_networkx(Plain(["c", "a", "b"], EDGES, True), weight="x")
    assert directed.senders.tolist() == [1, 2, 2] and directed.weight is None


BAD = {
    "must be at least one node|at least one node": lambda: from_networkx(Plain([], [])),
    "attribute 'weight' of an edge": lambda: from_networkx(
        Plain([0, 1], [(0, 1, {"weight": "heavy"})])
    ),
    "at least 0": lambda: from_networkx(Plain([0, 1], [(0, 1, {"weight": -1.0})])),
    "to_networkx needs the package networkx .*'jaxopt_lab\\[graphs\\]'": (
        lambda: to_networkx(make_graph([0], [1], 2), 2)
    ),
    "read_graph needs the package networkx": lambda: read_graph("some.gml"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line(message, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(InputError, match=message) as error:
        BAD[message]()
    assert "\n" not in str(error.value)


def test_there_and_back(tmp_path):
    networkx = pytest.importorskip("networkx")
    club = networkx.karate_club_graph()
    graph, names = from_networkx(club)
    assert len(names) == 34 and graph.senders.shape == (156,)
    back = to_networkx(graph, 34, names=names).to_undirected()
    assert networkx.utils.edges_equal(
        back.edges(data="weight"), club.edges(data="weight")
    )
    path = tmp_path / "club.graphml"
    networkx.write_graphml(club, path)
    again, read = read_graph(path)
    assert read == tuple(map(str, range(34)))
    for a, b in zip(again[:3], graph[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    twice = to_networkx(make_graph([0, 0], [1, 1], 2), 2)
    assert twice.number_of_edges() == 2
    masked = graph._replace(mask=np.arange(156) < 3)
    assert to_networkx(masked, 34).number_of_edges() == 3
    with pytest.raises(InputError, match=r"other.gml cannot be read"):
        read_graph(tmp_path / "other.gml")
