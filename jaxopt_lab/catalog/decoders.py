"""The rows of decoders."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Decoder, Neutral

ROWS: tuple[Decoder, ...] = (
    Decoder(
        name="greedy",
        summary="the most probable token at each step",
        build="jaxopt_lab.inference:greedy",
        reduces_to=Neutral(
            {"max_tokens": 1}, "jax.numpy:argmax", note="of the logits at the prompt"
        ),
        options=("max_tokens", "pad"),
        example="jaxopt_lab.catalog.examples.batches:prompts",
        exact_when="always: it is the definition that other decoders are held to",
    ),
)
