"""Tiny predictions of a classifier: inputs of losses, metrics and estimators."""

from __future__ import annotations

from typing import Any

import numpy as np


def classified(examples: int = 6, classes: int = 3) -> dict[str, Any]:
    """Logits and labels, some of them right, and the perfect logits.

    >>> sorted(classified())
    ['outputs', 'perfect', 'targets']
    """
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, examples).astype(np.int32)
    right = np.eye(classes)[targets]
    return {
        "outputs": rng.normal(size=(examples, classes)) + right,
        "targets": targets,
        "perfect": 1e4 * right,
    }


def tokens() -> dict[str, Any]:
    """Logits, labels and an embedding of five tokens.

    >>> tokens()["embedding"].shape
    (5, 4)
    """
    embedding = np.random.default_rng(1).normal(size=(5, 4))
    return {**classified(4, 5), "embedding": embedding}


def mixtures() -> dict[str, Any]:
    """Logits of four examples, and of two mixtures of each with another one.

    >>> mixtures()["mixed"].shape
    (4, 2, 3)
    """
    given = classified(4, 3)
    del given["perfect"]
    own = np.eye(3)[given["targets"]][:, None]
    shares = np.array([0.8, 0.6])[:, None]
    soft = shares * own + (1 - shares) * np.roll(own, 1, axis=0)
    mixed = np.random.default_rng(3).normal(size=(4, 2, 3)) + soft
    return {**given, "mixed": mixed, "mixed_labels": soft, "weight": 0.7}


def views() -> dict[str, Any]:
    """Logits of a strong view of five examples, probabilities of a weak one.

    >>> views()["weak"].sum(axis=1).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    rng = np.random.default_rng(4)
    weak = np.array(
        [
            [0.97, 0.01, 0.01, 0.01],
            [0.02, 0.6, 0.36, 0.02],
            [0.25, 0.25, 0.25, 0.25],
            [0.3, 0.05, 0.6, 0.05],
            [0.0, 0.0, 0.04, 0.96],
        ]
    )
    return {"outputs": rng.normal(size=(5, 4)), "weak": weak, "threshold": 0.9}


def views_of_two_heads() -> dict[str, Any]:
    """``views``, and the logits of an auxiliary head.

    >>> views_of_two_heads()["auxiliary"].shape
    (5, 4)
    """
    auxiliary = np.random.default_rng(5).normal(size=(5, 4))
    return {**views(), "auxiliary": auxiliary}


def experts() -> dict[str, Any]:
    """Logits of two views of five examples by three experts, and class counts.

    >>> experts()["outputs"].shape
    (5, 2, 3, 3)
    """
    given = classified(5, 3)
    right = np.eye(3)[given["targets"]][:, None, None]
    outputs = np.random.default_rng(6).normal(size=(5, 2, 3, 3)) + 2 * right
    counts = np.array([50.0, 10.0, 2.0])
    return {
        "outputs": outputs,
        "targets": given["targets"],
        "class_counts": counts,
        "warmup": 2.0,
    }


def feature_maps() -> dict[str, Any]:
    """Maps of four examples, those of a teacher, and equal ones.

    >>> feature_maps()["teacher"].shape
    (4, 3, 2, 2)
    """
    outputs, teacher = np.random.default_rng(8).normal(size=(2, 4, 3, 2, 2))
    return {"outputs": outputs, "teacher": teacher, "perfect": teacher}


def two_sets() -> dict[str, Any]:
    """Features of five examples, and a set that they are to resemble.

    >>> two_sets()["reference"].shape
    (5, 3)
    """
    outputs, reference = np.random.default_rng(9).normal(size=(2, 5, 3))
    return {"outputs": outputs, "reference": reference + 1.0}


def guided() -> dict[str, Any]:
    """Representations of five examples, and those of a guide.

    >>> guided()["guide"].shape
    (5, 3)
    """
    rng = np.random.default_rng(7)
    return {"outputs": rng.normal(size=(5, 4)), "guide": rng.normal(size=(5, 3))}


def members() -> dict[str, Any]:
    """Logits of five examples by three members of an ensemble, and the perfect ones.

    >>> members()["outputs"].shape
    (5, 3, 4)
    """
    given = classified(5, 4)
    perfect = np.repeat(given["perfect"][:, None], 3, axis=1)
    outputs = given["outputs"][:, None]
    outputs = outputs + np.random.default_rng(8).normal(size=(5, 3, 4))
    return {**given, "outputs": outputs, "perfect": perfect, "gamma": 0.7}


def levels() -> dict[str, Any]:
    """Logits and labels of six examples with five ordered levels.

    >>> levels()["outputs"].shape
    (6, 5)
    """
    given = classified(6, 5)
    return {"outputs": given["outputs"], "targets": given["targets"]}


def sources() -> dict[str, Any]:
    """Logits of five examples by a task head, and two sources with heads of theirs.

    >>> [x.shape for x in sources()["teachers"]]
    [(5, 4), (5, 2)]
    """
    rng = np.random.default_rng(11)
    given = classified(5, 3)
    raw = [rng.uniform(0.1, 1.0, (5, c)) for c in (4, 2)]
    return {
        "outputs": given["outputs"],
        "targets": given["targets"],
        "heads": tuple(rng.normal(size=(5, c)) for c in (4, 2)),
        "teachers": tuple(t / t.sum(axis=1, keepdims=True) for t in raw),
        "weights": np.array([0.7, 0.3]),
        "task_weight": 0.6,
    }


def embedded() -> dict[str, Any]:
    """Embeddings of six examples of three classes, and perfect ones.

    >>> embedded()["outputs"].shape
    (6, 3)
    """
    targets = np.array([0, 1, 0, 2, 1, 2], np.int32)
    outputs = np.random.default_rng(12).normal(size=(6, 3))
    return {"outputs": outputs, "targets": targets, "perfect": np.eye(3)[targets]}


def activations() -> dict[str, Any]:
    """Activations of four examples, two positions and three neurons, both signs.

    >>> activations()["outputs"].shape
    (4, 2, 3)
    """
    return {"outputs": np.random.default_rng(2).normal(size=(4, 2, 3))}


def measured() -> dict[str, Any]:
    """A batch of a metric, with the best and the worst outputs.

    >>> sorted(measured())
    ['best', 'outputs', 'targets', 'worst']
    """
    batch = classified()
    best = batch.pop("perfect")
    worst = np.roll(best, 1, axis=1)
    return {**batch, "best": best, "worst": worst}


def measured_in_two_classes() -> dict[str, Any]:
    """A batch of two classes, whose number is an option.

    >>> measured_in_two_classes()["classes"]
    2
    """
    batch = classified(6, 2)
    best = batch.pop("perfect")
    return {**batch, "classes": 2, "best": best, "worst": best[:, ::-1]}


def fitted() -> dict[str, Any]:
    """Data of a calibration with right and wrong predictions, and degenerate ones.

    >>> sorted(fitted()["degenerate"])
    ['all right', 'equal logits', 'one class', 'one example']
    """
    data = classified(8, 3)
    perfect = data.pop("perfect")
    # One prediction is surely wrong: without it no temperature would be the best.
    data["outputs"][0] = np.roll(perfect[0], 1) / 5e3
    one = {name: x[:1] for name, x in data.items()}
    degenerate = {
        "all right": {**data, "outputs": perfect},
        "equal logits": {**data, "outputs": np.zeros((8, 3))},
        "one class": {"outputs": np.ones((2, 1)), "targets": np.zeros(2, np.int32)},
        "one example": one,
    }
    return {"data": data, "inputs": data["outputs"], "degenerate": degenerate}


def mapped() -> dict[str, Any]:
    """``fitted`` without equal logits, with options of a monotone map that are small.

    >>> mapped()["segments"]
    4
    """
    options = {"steps": 2, "segments": 4, "span": 8.0, "reach": 2, "clusters": 2}
    given = fitted()
    given["data"]["outputs"] += 0.1 * np.cos(np.arange(24.0)).reshape(8, 3)
    return {**given, **options}


def probed() -> dict[str, Any]:
    """Features and labels of three classes, and degenerate ones.

    >>> probed()["data"]["features"].shape
    (8, 3)
    """
    given = classified(8, 3)
    data = {"features": given["outputs"], "targets": given["targets"]}
    alike = np.zeros(8, np.int32)
    degenerate = {
        "constant": {**data, "features": np.full((8, 3), 0.3)},
        "one class": {**data, "targets": alike},
        "one example": {name: x[:1] for name, x in data.items()},
    }
    inputs = 0.5 * given["outputs"]
    # The variances of so few examples are not to be small.
    options = {"classes": 3, "eps": 0.05}
    return {"data": data, "inputs": inputs, "degenerate": degenerate, **options}


def kernel() -> dict[str, Any]:
    """The shape of a kernel.

    >>> kernel()
    {'shape': (3, 5)}
    """
    return {"shape": (3, 5)}


def similarities() -> dict[str, Any]:
    """Similarities of six pairs, and scores, two of them equal.

    >>> similarities()["targets"].shape
    (6,)
    """
    outputs = np.random.default_rng(9).uniform(-1, 1, 6)
    return {"outputs": outputs, "targets": np.array([1.0, 3.0, 3.0, 0.5, 5.0, 2.0])}


def retrieved() -> dict[str, Any]:
    """Embeddings of four queries, and of two passages of each.

    >>> retrieved()["passages"].shape
    (4, 2, 3)
    """
    rng = np.random.default_rng(10)
    outputs, passages = rng.normal(size=(4, 3)), rng.normal(size=(4, 2, 3))
    return {"outputs": outputs, "passages": passages, "temperature": 0.5}


def clustered() -> dict[str, Any]:
    """Features of six examples in two views, and those of a second head.

    >>> clustered()["clusters"].shape
    (6, 2, 2)
    """
    rng = np.random.default_rng(13)
    outputs, clusters = rng.normal(size=(6, 2, 3)), rng.normal(size=(6, 2, 2))
    return {"outputs": outputs, "clusters": clusters, "eta": 0.5, "iterations": 20}


def regressed() -> dict[str, Any]:
    """Embeddings of six examples, labels of which some are equal, nothing drawn.

    >>> regressed()["outputs"].shape
    (6, 3)
    """
    outputs = np.random.default_rng(14).normal(size=(6, 3))
    targets = np.array([0.0, 1.0, 1.0, 2.0, 4.0, 0.0])
    return {
        "outputs": outputs,
        "targets": targets,
        "beta": None,
        "window": 3.0,
    }


def embedded_pairs() -> dict[str, Any]:
    """Embeddings of four pairs of nodes, and the pairs' distances in a graph.

    >>> embedded_pairs()["targets"].tolist()
    [1.0, 2.0, 1.0, 3.0]
    """
    rng = np.random.default_rng(12)
    targets = np.array([1.0, 2.0, 1.0, 3.0])
    perfect = np.zeros((4, 2, 2))
    perfect[:, 0, 0] = targets
    return {
        "outputs": rng.normal(size=(4, 2, 2)),
        "targets": targets,
        "perfect": perfect,
    }


def ranked() -> dict[str, Any]:
    """Scores of five documents, their relevances, and perfect scores.

    >>> ranked()["targets"].tolist()
    [3.0, 0.0, 2.0, 1.0, 4.0]
    """
    targets = np.array([3.0, 0.0, 2.0, 1.0, 4.0])
    outputs = np.random.default_rng(15).normal(size=5) + 0.3 * targets
    return {"outputs": outputs, "targets": targets, "perfect": 1e4 * targets}


def ranked_lists() -> dict[str, Any]:
    """Scores of four lists of five documents, relevances, the best and worst scores.

    >>> ranked_lists()["targets"][0].tolist()
    [0.0, 2.0, 1.0, 0.0, 1.0]
    """
    first = np.array([0.0, 2.0, 1.0, 0.0, 1.0])
    targets = np.stack([np.roll(first, k) for k in range(4)])
    outputs = np.random.default_rng(16).normal(size=(4, 5)) + 0.5 * targets
    return {"outputs": outputs, "targets": targets, "best": targets, "worst": -targets}


def ranked_lists_at_two() -> dict[str, Any]:
    """``ranked_lists``, of which two ranks count.

    >>> ranked_lists_at_two()["top"]
    2
    """
    return {**ranked_lists(), "top": 2}
