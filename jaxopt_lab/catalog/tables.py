"""The catalog as text: Markdown tables for pages, plain text for the command line."""

from __future__ import annotations

import dataclasses
import textwrap

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import KINDS, Part, Transform

# Columns of each kind beyond name, summary and source: field and title.
_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "layer": (
        ("replaces", "takes the place of"),
        ("state", "state"),
        ("gradient", "gradient"),
    ),
    "loss": (("invariance", "unchanged by"), ("lower_bound", "at least")),
    "metric": (("range", "range"), ("direction", "better is")),
    "diagnostic": (("cost", "cost"), ("error", "error")),
    "quantizer": (("bits", "bits"), ("calibration", "needs activations")),
    "controller": (("reads", "reads"), ("decides", "decides")),
    "recipe": (("roles", "roles"), ("gradients", "gradients a step")),
    "decoder": (("exact_when", "exact when"),),
    "search": (("space", "space"), ("budget", "budget")),
    "data transform": (("keeps_labels", "keeps labels"),),
    "estimator": (("form", "form"), ("monotone", "monotone")),
    "initializer": (("moments", "moments"), ("spectrum", "spectrum")),
}
# Further facts, which the pages of the kinds may show.
_MORE: dict[str, tuple[tuple[str, str], ...]] = {
    "layer": (
        ("residual_bytes", "bytes kept"),
        ("couples_examples", "couples examples"),
    ),
    "loss": (("constant_factors", "held constant in the gradient"),),
    "quantizer": (
        ("bytes", "bytes a weight"),
        ("never_worse_than", "never worse than"),
    ),
    "controller": (("period", "steps between decisions"),),
    "recipe": (("frozen", "frozen"),),
    "search": (("several", "several scores"),),
}
_TRANSFORM = (
    "family",
    "role",
    "what it does",
    "gradients a step",
    "state, bytes a parameter",
    "source",
)


# Pages with the mathematics of each kind.
_PAGES = {
    "transform": "transforms",
    "layer": "layers",
    "loss": "losses",
    "metric": "metrics",
    "diagnostic": "diagnostics",
    "quantizer": "quantizers",
    "controller": "controllers",
    "recipe": "recipes",
    "decoder": "decoders",
    "search": "search",
    "data transform": "data_transforms",
    "estimator": "metrics",
    "initializer": "layers",
}
_CONTRACTS = {
    "transform": "x(...) -> optax.GradientTransformationExtraArgs",
    "layer": "f(params, state, x, *, train, ...) -> (y, state)",
    "loss": "loss(outputs, targets, *, where=None) -> (examples,)",
    "metric": "update(sums, batch), merge(a, b), compute(sums)",
    "diagnostic": "d(operator, ..., key) -> (value, error, ...)",
    "quantizer": "q(weight, gram, codec) -> (QArray, report)",
    "controller": "decide(stats, state) -> (decision, state)",
    "recipe": "make_x_step(...) -> step(state, batch) -> (state, metrics)",
    "decoder": "decode(model_step, params, prompt, *, cache, key)",
    "search": "ask(state, key), tell(state, candidate, score)",
    "data transform": "t(key, batch) -> batch",
    "estimator": "fit(data, *, where, key), apply(fitted, inputs)",
    "initializer": "init(key, shape, dtype)",
}


def markdown_table(kind: str = "transform") -> str:
    """The rows of a kind as a table in Markdown.

    Args:
      kind: one of ``KINDS``.

    Returns:
      The table, without a line end at the end.

    Raises:
      InputError: there is no such kind.
    """
    rows = catalog.of_kind(kind)
    if kind == "transform":
        head = ["method", *_TRANSFORM]
        lines = [_transform(row) for row in catalog.of_kind("transform").values()]
    else:
        head = [kind, "what it does", *(title for _, title in _COLUMNS[kind]), "source"]
        lines = [_line(row) for row in rows.values()]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)
    )


def facts(row: Part) -> dict[str, str]:
    """Facts of a row as text, by the titles that tables give them.

    Args:
      row: of the catalog.

    Returns:
      Titles and text; ``"source"`` among them.

    >>> facts(catalog.get("sam"))["gradients a step"]
    '2'
    """
    if isinstance(row, Transform):
        return dict(zip(_TRANSFORM, _transform(row)[1:], strict=True))
    columns = (*_COLUMNS[row.kind], *_MORE.get(row.kind, ()))
    told = {title: _spelled(getattr(row, field)) for field, title in columns}
    return told | {"what it does": row.summary, "source": row.paper}


def _transform(row: Transform) -> list[str]:
    return [
        f"`{row.name}`",
        row.origin or row.family,
        row.role,
        row.summary,
        row.gradients_formula or str(row.gradients),
        row.state_text or row.state_bytes,
        row.paper,
    ]


def _line(row: Part) -> list[str]:
    cells = (_spelled(getattr(row, field)) for field, _ in _COLUMNS[row.kind])
    return [f"`{row.name}`", row.summary, *cells, row.paper]


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(_spelled, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def kinds_table() -> str:
    """The kinds as a table in Markdown, with their contracts and numbers of parts."""
    lines = ["| kind | contract | parts |", "| --- | --- | --- |"]
    lines += [
        f"| [{kind}](docs/{_PAGES[kind]}.md) | `{_CONTRACTS[kind]}` "
        f"| {len(catalog.of_kind(kind))} |"
        for kind in KINDS
    ]
    return "\n".join(lines)


def page() -> str:
    """The tables of all kinds that have parts, under their titles, in Markdown."""
    sections = [
        f"## {kind.capitalize()}\n\n{markdown_table(kind)}"
        for kind in KINDS
        if catalog.of_kind(kind)
    ]
    return "\n\n".join(sections)


def listing(kind: str = "") -> str:
    """The text of ``--list`` and of ``--list KIND``.

    Args:
      kind: one of ``KINDS``; empty: every kind, a line for each part.

    Returns:
      Text, without a line end at the end.

    Raises:
      InputError: there is no such kind.
    """
    if kind:
        return "\n".join(_entry(row) for row in catalog.of_kind(kind).values())
    parts = []
    for each in KINDS:
        rows = catalog.of_kind(each).values()
        if rows:
            parts.append(f"{each} (--list {each}):")
            parts += [f"  {row.name}: {row.summary}" for row in rows]
    return "\n".join(parts)


def _entry(row: Part) -> str:
    lines = [f"{row.name}: {row.summary}"]
    if isinstance(row, Transform):
        lines.append(
            f"    {row.role}; gradients a step: {_transform(row)[4]}; state, bytes a "
            f"parameter: {_transform(row)[5]}"
        )
    else:
        known = {field.name for field in dataclasses.fields(row)}
        facts = [
            f"{title}: {_spelled(getattr(row, field))}"
            for field, title in _COLUMNS[row.kind]
            if field in known and _spelled(getattr(row, field))
        ]
        lines += [f"    {'; '.join(facts)}"] if facts else []
    options = " ".join(f"{name}={o.default}" for name, o in row.details.items())
    if options:
        lines.append(textwrap.indent(textwrap.fill(options, 84), "    "))
    return "\n".join(lines)
