"""The rows of data transforms."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import DataTransform, Neutral

ROWS: tuple[DataTransform, ...] = (
    DataTransform(
        name="mixup",
        summary="convex combinations of two examples and of their labels",
        build="jaxopt_lab.data:mixup",
        reduces_to=Neutral({"alpha": 0.0}, "jaxopt_lab.data:compose"),
        topic="regularization",
        options=("alpha",),
        example="jaxopt_lab.catalog.examples.batches:labelled_images",
        changes_shapes=True,
        keeps_labels=False,
        paper="Zhang et al. 2018, arXiv:1710.09412",
    ),
    DataTransform(
        name="cutmix",
        summary="a box of another example, and its share of the label",
        build="jaxopt_lab.data:cutmix",
        reduces_to=Neutral({"alpha": 0.0}, "jaxopt_lab.data:compose"),
        topic="regularization",
        options=("alpha", "probability"),
        example="jaxopt_lab.catalog.examples.batches:large_images",
        changes_shapes=True,
        keeps_labels=False,
        paper="Yun et al. 2019, arXiv:1905.04899",
    ),
    DataTransform(
        name="erase",
        summary="a random rectangle of an image is overwritten",
        build="jaxopt_lab.data:erase",
        reduces_to=Neutral({"probability": 0.0}, "jaxopt_lab.data:compose"),
        topic="regularization",
        options=("probability", "smallest", "largest", "ratio", "value"),
        example="jaxopt_lab.catalog.examples.batches:plain_images",
        paper="Zhong et al. 2017, arXiv:1708.04896",
    ),
    DataTransform(
        name="example_noise",
        summary="the weight of every example times a normal number about 1",
        build="jaxopt_lab.data:example_noise",
        reduces_to=Neutral({"std": 0.0}, "jaxopt_lab.data:compose"),
        topic="large batches",
        options=("std",),
        example="jaxopt_lab.catalog.examples.batches:weighted_examples",
        paper="Hoffer et al. 2017, arXiv:1705.08741",
    ),
    DataTransform(
        name="rotations",
        summary="images turned by quarters, and the number of the turn",
        build="jaxopt_lab.data:rotations",
        reduces_to=Neutral({"turns": 1}, "jaxopt_lab.data:compose"),
        topic="self-supervision",
        options=("turns", "every"),
        example="jaxopt_lab.catalog.examples.batches:turned_images",
        paper="Gidaris, Singh and Komodakis 2018, arXiv:1803.07728",
        code="gidariss/FeatureLearningRotNet",
    ),
    DataTransform(
        name="batch_styles",
        summary="low frequencies of all images from one image of the batch",
        build="jaxopt_lab.data:batch_styles",
        reduces_to=Neutral({"mix": 0.0}, "jaxopt_lab.data:compose"),
        topic="self-supervision",
        options=("mix", "ratio"),
        example="jaxopt_lab.catalog.examples.batches:styled_images",
        paper="Scalbert, Vakalopoulou and Couzinie-Devy 2023, arXiv:2303.06088",
    ),
)
