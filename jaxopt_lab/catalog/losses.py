"""The rows of losses and regularizers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.predictions"

ROWS: tuple[Loss, ...] = (
    Loss(
        name="cross_entropy",
        summary="cross-entropy of integer labels, with label smoothing",
        build="jaxopt_lab.losses.cross_entropy:cross_entropy",
        reduces_to=Neutral(
            {"label_smoothing": 0.0},
            "optax:softmax_cross_entropy_with_integer_labels",
        ),
        options=("label_smoothing",),
        example=f"{_EXAMPLES}:classified",
        lower_bound=0.0,
        perfect=0.0,
        invariance="a constant added to the logits",
    ),
    Loss(
        name="emo",
        summary="cross-entropy mixed with the earth mover's distance to the label",
        build="jaxopt_lab.losses.emo:emo",
        reduces_to=Neutral({"share": 0.0}, "cross_entropy"),
        topic="language models",
        options=("form", "share"),
        example=f"{_EXAMPLES}:tokens",
        lower_bound=0.0,
        perfect=0.0,
        invariance="a constant added to the logits; scale of the embedding",
        constant_factors="the quotient of cross-entropy and distance",
        vectors="emo",
        paper="Ren et al. 2023",
        code="DRSY/EMO",
    ),
    Loss(
        name="reweighted_cross_entropy",
        summary="cross-entropy with weights by the losses of the batch",
        build="jaxopt_lab.losses.reweighting:reweighted_cross_entropy",
        reduces_to=Neutral({"r": 1e30}, "cross_entropy", "weights alike to rounding"),
        topic="data weights",
        options=("strategy", "r", "delta"),
        example=f"{_EXAMPLES}:classified",
        lower_bound=0.0,
        perfect=0.0,
        invariance="a constant added to the logits",
        constant_factors="the weights",
        vectors="loss_reweighting",
        paper="Sow et al. 2025, arXiv:2502.06733",
        code="sowmaster/Sample-Level-Loss-Reweighting-ICLR-2025",
    ),
    Loss(
        name="shade",
        summary="spread of each neuron's activation within its two modes",
        build="jaxopt_lab.losses.shade:shade",
        reduces_to=Neutral(
            {"decay": 1.0}, "jaxopt_lab.losses.shade:fixed_modes_penalty"
        ),
        topic="regularization",
        options=("modes", "decay", "through_modes"),
        example=f"{_EXAMPLES}:activations",
        stateful=True,
        regularizer=True,
        lower_bound=0.0,
        constant_factors="the means of the modes and their probabilities",
        vectors="shade",
        paper="Blot et al. 2018",
    ),
)
