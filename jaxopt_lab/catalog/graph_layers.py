"""The rows of layers on graphs."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.graphs"
_GRAPH = "jaxopt_lab.layers.graph"
_FULL = "dear; dense references, padding and the order of nodes are plain"

ROWS: tuple[Layer, ...] = (
    Layer(
        name="gcn_conv",
        summary="graph convolution over padded edges, GCN",
        build=f"{_GRAPH}.gcn_conv:gcn_conv",
        module=f"{_GRAPH}.modules:GCNConv",
        reduces_to=Neutral(
            {"normalization": "none", "self_loops": False},
            f"{_GRAPH}.gcn_conv:plain_gcn",
        ),
        topic="graphs",
        options=("units", "normalization", "self_loops"),
        example=f"{_EXAMPLES}:weighted_graphs",
        replaces=(),
        couples_positions=True,
        residual_bytes="18",
        paper="Kipf and Welling 2017, arXiv:1609.02907",
        full=_FULL,
    ),
    Layer(
        name="gat_conv",
        summary="attention of nodes to their neighbours over padded edges, GAT",
        build=f"{_GRAPH}.gat_conv:gat_conv",
        module=f"{_GRAPH}.modules:GATConv",
        reduces_to=Neutral(
            {"slope": 1.0, "heads": 1}, f"{_GRAPH}.gat_conv:static_attention"
        ),
        topic="graphs",
        options=("units", "heads", "concatenate", "slope", "self_loops"),
        example=f"{_EXAMPLES}:attended_graphs",
        replaces=(),
        couples_positions=True,
        residual_bytes="22",
        paper="Velickovic et al. 2018, arXiv:1710.10903",
        full=_FULL,
    ),
    Layer(
        name="hypergraph_conv",
        summary="hypergraph convolution over padded pairs, HGNN",
        build=f"{_GRAPH}.hypergraph_conv:hypergraph_conv",
        module=f"{_GRAPH}.modules:HypergraphConv",
        reduces_to=Neutral(
            {"normalize": False}, f"{_GRAPH}.hypergraph_conv:plain_hypergraph"
        ),
        topic="graphs",
        options=("units", "normalize"),
        example=f"{_EXAMPLES}:weighted_hypergraphs",
        replaces=(),
        couples_positions=True,
        residual_bytes="17",
        paper="Feng et al. 2019, arXiv:1809.09401",
        full=_FULL,
    ),
)
