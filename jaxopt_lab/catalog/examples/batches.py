"""Tiny batches of labelled images, tokens and classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np


def labelled_images() -> dict[str, Any]:
    """Six images of four pixels in three classes.

    >>> labelled_images()["batch"]["image"].shape
    (6, 2, 2)
    """
    rng = np.random.default_rng(0)
    labels = np.arange(6, dtype=np.int32) % 3
    batch = {"image": rng.normal(size=(6, 2, 2)), "label": labels}
    return {"batch": batch, "num_classes": 3, "alpha": 0.8}


def plain_images() -> dict[str, Any]:
    """Six images of 16 pixels, each of which is changed.

    >>> plain_images()["batch"]["image"].shape
    (6, 4, 4, 1)
    """
    rng = np.random.default_rng(0)
    labels = np.arange(6, dtype=np.int32) % 3
    batch = {"image": rng.normal(size=(6, 4, 4, 1)), "label": labels}
    return {"batch": batch, "probability": 1.0}


def bright_images() -> dict[str, Any]:
    """The same with values from 0 to 1, and the name of a corruption.

    >>> bright_images()["name"]
    'impulse_noise'
    """
    batch = plain_images()["batch"]
    image = 1 / (1 + np.exp(-batch["image"]))
    return {"batch": {**batch, "image": image}, "name": "impulse_noise"}


def turned_images() -> dict[str, Any]:
    """Six images of 16 pixels, each of which is turned once.

    >>> turned_images()["every"]
    False
    """
    return {"batch": plain_images()["batch"], "every": False}


def styled_images() -> dict[str, Any]:
    """Six images of 16 pixels, and a block of their low frequencies.

    >>> styled_images()["ratio"]
    0.5
    """
    return {"batch": plain_images()["batch"], "mix": 0.7, "ratio": 0.5}


def viewed_images() -> dict[str, Any]:
    """Six images of 16 pixels that are mirrored at times.

    >>> viewed_images()["probability"]
    0.5
    """
    return {"batch": plain_images()["batch"], "probability": 0.5}


def large_images() -> dict[str, Any]:
    """Six images of 64 pixels in three classes, in which a box fits.

    >>> large_images()["batch"]["image"].shape
    (6, 8, 8)
    """
    rng = np.random.default_rng(0)
    labels = np.arange(6, dtype=np.int32) % 3
    batch = {"image": rng.normal(size=(6, 8, 8)), "label": labels}
    return {"batch": batch, "num_classes": 3, "alpha": 0.8}


def weighted_examples() -> dict[str, Any]:
    """Six examples with labels and weights.

    >>> weighted_examples()["batch"]["weight"].shape
    (6,)
    """
    rng = np.random.default_rng(0)
    labels = np.arange(6, dtype=np.int32) % 3
    batch = {"weight": rng.uniform(0.5, 1.5, 6), "label": labels}
    return {"batch": batch, "entry": "weight"}


def student_and_teacher() -> dict[str, Any]:
    """A batch of eight, and the weights of two linear classifiers.

    >>> sorted(student_and_teacher()["params"])
    ['student', 'teacher']
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 8).astype(np.int32)
    return {
        "batch": {"image": rng.normal(size=(8, 4)), "label": labels},
        "params": {
            "student": rng.normal(size=(4, 3)),
            "teacher": 2 * rng.normal(size=(4, 3)),
        },
        "weight": 0.6,
        "temperature": 2.0,
    }


def target_and_guide() -> dict[str, Any]:
    """A batch of eight, and the weights of a linear target and of its guide.

    >>> sorted(target_and_guide()["params"])
    ['guide', 'target']
    """
    given = student_and_teacher()
    pair = given["params"]["teacher"], given["params"]["student"]
    params = dict(zip(("guide", "target"), pair, strict=True))
    return {"batch": given["batch"], "params": params, "weight": 0.7}


def classes_and_attributes() -> dict[str, Any]:
    """A batch of eight with two attributes, some unknown, and two roles' weights.

    >>> classes_and_attributes()["batch"]["attributes"].min()
    np.int32(-1)
    """
    given = student_and_teacher()
    marks = np.arange(16, dtype=np.int32).reshape(8, 2) % 3 - 1
    pair = given["params"]["student"], given["params"]["teacher"]
    params = dict(zip(("network", "adversaries"), pair, strict=True))
    batch = {**given["batch"], "attributes": marks}
    return {"batch": batch, "params": params, "orthogonality": 0.1}


def one_classifier() -> dict[str, Any]:
    """A batch of eight, the weights of a linear classifier, and a large perturbation.

    >>> sorted(one_classifier()["params"])
    ['model']
    """
    given = student_and_teacher()
    params = {"model": given["params"]["student"]}
    numbers = {"weight": 0.6, "epsilon": 0.3, "alpha": 0.5}
    return {"batch": given["batch"], "params": params, **numbers}


def one_classifier_to_cut() -> dict[str, Any]:
    """A batch of eight, and the weights of a linear classifier with inputs to cut.

    >>> one_classifier_to_cut()["widths"]
    (0.25, 0.5, 1.0)
    """
    given = student_and_teacher()
    params = {"model": given["params"]["student"]}
    return {"batch": given["batch"], "params": params, "widths": (0.25, 0.5, 1.0)}


def two_clients() -> dict[str, Any]:
    """A batch of eight for two clients, and the weights of a linear classifier.

    >>> two_clients()["clients"]
    2
    """
    given = student_and_teacher()
    params = {"model": given["params"]["student"]}
    return {"batch": given["batch"], "params": params, "clients": 2}


def two_views() -> dict[str, Any]:
    """A batch of eight with strong views, and the weights of a linear classifier.

    >>> sorted(two_views()["batch"])
    ['image', 'label', 'strong']
    """
    given = student_and_teacher()
    batch = {**given["batch"], "strong": given["batch"]["image"][::-1].copy()}
    params = {"model": given["params"]["student"]}
    return {"batch": batch, "params": params, "threshold": 0.6}


def two_classifiers() -> dict[str, Any]:
    """A batch of eight, and the weights of two linear classifiers.

    >>> sorted(two_classifiers()["params"])
    ['first', 'second']
    """
    given = student_and_teacher()
    pair = given["params"]["student"], given["params"]["teacher"]
    params = dict(zip(("first", "second"), pair, strict=True))
    return {"batch": given["batch"], "params": params, "forget": 0.3}


def remembering_classifier() -> dict[str, Any]:
    """A batch of eight, and the weights of a linear classifier.

    >>> remembering_classifier()["weight"]
    0.6
    """
    given = student_and_teacher()
    params = {"model": given["params"]["student"]}
    return {"batch": given["batch"], "params": params, "weight": 0.6}


def growing_classifier() -> dict[str, Any]:
    """A batch of eight, and the weights of a linear classifier now and before.

    >>> sorted(growing_classifier()["params"])
    ['model', 'old']
    """
    given = student_and_teacher()
    pair = given["params"]["student"], given["params"]["teacher"]
    params = dict(zip(("model", "old"), pair, strict=True))
    numbers = {"spatial": 0.7, "flat": 0.4, "ratio": 2.0, "weight": 1.0, "store": True}
    return {"batch": given["batch"], "params": params, **numbers}


def classifier_with_ghosts() -> dict[str, Any]:
    """``growing_classifier`` with two ghosts and two hyperplanes.

    >>> sorted(classifier_with_ghosts()["params"]["ghosts"])
    ['normals', 'offsets', 'proxies']
    """
    given = growing_classifier()
    rng = np.random.default_rng(5)
    ghosts = {
        "proxies": rng.normal(size=(2, 1, 3)),
        "normals": rng.normal(size=(2, 3)),
        "offsets": rng.normal(size=2),
    }
    params = {**given["params"], "ghosts": ghosts}
    return {"batch": given["batch"], "params": params, "latent": 0.3}


def forgotten_and_retained() -> dict[str, Any]:
    """Inputs and targets of a forget set and a retain set, and a linear model.

    >>> sorted(forgotten_and_retained()["batch"])
    ['forget', 'retain']
    """
    given = student_and_teacher()
    x = given["batch"]["image"]
    sets = {"forget": (x, 0.0), "retain": (x[::-1] + 0.1, 1.0)}
    batch = {
        name: {"image": inputs, "target": offset + inputs[:, :3]}
        for name, (inputs, offset) in sets.items()
    }
    params = {"model": given["params"]["student"]}
    return {"batch": batch, "params": params, "retain": 0.3}


def two_modules() -> dict[str, Any]:
    """A batch of eight, the weights of two modules in a row and of a predictor.

    >>> [w.shape for w in two_modules()["params"]["modules"]]
    [(4, 3), (3, 3)]
    """
    given = student_and_teacher()
    first, other = given["params"]["student"], given["params"]["teacher"]
    params = {"modules": (first, other[:3]), "predictors": (0.1 * other[1:],)}
    return {"batch": given["batch"], "params": params, "weight": 0.7}


def two_tasks() -> dict[str, Any]:
    """A batch of eight, a linear hypernetwork now and before, and an old task.

    >>> sorted(two_tasks()["params"]["model"])
    ['embedding', 'hypernetwork']
    """
    rng = np.random.default_rng(7)
    now, before = rng.normal(size=(2, 2, 12))
    model = {"hypernetwork": now, "embedding": rng.normal(size=2)}
    old = {"params": before, "embeddings": rng.normal(size=(1, 2))}
    params = {"model": model, "old": old}
    batch = student_and_teacher()["batch"]
    return {"batch": batch, "params": params, "beta": 0.1, "lookahead": 0.2}


def moved_inputs() -> dict[str, Any]:
    """A batch of eight, and the weights of a linear classifier.

    >>> moved_inputs()["steps"]
    2
    """
    given = student_and_teacher()
    params = {"model": given["params"]["student"]}
    numbers = {"weight": 0.4, "radius": 0.5, "steps": 2, "step_size": 0.7}
    return {"batch": given["batch"], "params": params, **numbers}


def one_hybrid() -> dict[str, Any]:
    """A batch of eight, and the weights that a classifier and two branches share.

    >>> one_hybrid()["consistency"]
    2.0
    """
    given = student_and_teacher()
    return {"batch": given["batch"], "params": given["params"], "consistency": 2.0}


def one_normalized_classifier() -> dict[str, Any]:
    """A batch of eight, and a classifier with one normalization of its inputs.

    >>> one_normalized_classifier()["params"]["model"]["head"].shape
    (4, 3)
    """
    rng = np.random.default_rng(0)
    norm = {"scale": rng.uniform(0.5, 2, 4), "bias": rng.normal(size=4)}
    model = {"norm": norm, "head": rng.normal(size=(4, 3))}
    batch = {"image": rng.normal(size=(8, 4)) + 0.5}
    return {"batch": batch, "params": {"model": model}, "start": 0.8, "decay": 0.3}


def two_adversaries() -> dict[str, Any]:
    """A batch of eight, the weights of a linear generator and of two discriminators.

    >>> two_adversaries()["params"]["discriminators"].shape
    (2, 4, 1)
    """
    rng = np.random.default_rng(0)
    generator, discriminators = rng.normal(size=(2, 4)), rng.normal(size=(2, 4, 1))
    return {
        "batch": {"image": rng.normal(size=(8, 4))},
        "params": {"generator": generator, "discriminators": discriminators},
        "drop": 0.4,
        "split": True,
        "diversity": 0.5,
    }


def two_members() -> dict[str, Any]:
    """A batch of eight, and the weights of two linear classifiers, stacked.

    >>> two_members()["params"]["members"].shape
    (2, 4, 3)
    """
    given = student_and_teacher()
    members = np.stack([given["params"][name] for name in ("student", "teacher")])
    return {"batch": given["batch"], "params": {"members": members}, "diversity": 0.5}


def prompts() -> dict[str, Any]:
    """Three prompts of different lengths, and a model that is a table of logits.

    >>> prompts()["lengths"].tolist()
    [4, 1, 2]
    """
    rng = np.random.default_rng(0)
    return {
        "prompt": rng.integers(0, 5, (3, 4)).astype(np.int32),
        "lengths": np.array([4, 1, 2], np.int32),
        "params": rng.normal(size=(5, 5)),
        "max_tokens": 5,
    }


def rows_of_text() -> dict[str, Any]:
    """Three rows of ten tokens, and the special tokens behind them.

    >>> rows_of_text()["batch"]["inputs"].shape
    (3, 10)
    """
    from jaxopt_lab.data import SpanTokens

    text = np.random.default_rng(0).integers(0, 7, (3, 10)).astype(np.int32)
    return {
        "batch": {"inputs": text},
        "special": SpanTokens.behind(7, 2),
        "share": 0.4,
        "mean_span": 2.0,
    }
