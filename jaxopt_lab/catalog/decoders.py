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
    Decoder(
        name="sample",
        summary="a token drawn at each step, by a temperature, top-k and top-p",
        build="jaxopt_lab.inference:sample",
        reduces_to=Neutral(
            {"temperature": 0.0},
            "jax.numpy:argmax",
            note="of the logits at the prompt",
        ),
        options=("max_tokens", "pad", "temperature", "top_k", "top_p"),
        example="jaxopt_lab.catalog.examples.decoding:sampled_prompts",
        exact_when="always: the distribution is the model's, among the tokens left",
        paper="Fan et al. 2018; Holtzman et al. 2020",
    ),
    Decoder(
        name="credit_decoding",
        summary="parallel decoding of masked tokens, with credits for steady ones",
        build="jaxopt_lab.inference:credit_decoding",
        reduces_to=Neutral(
            {"block": 1, "alpha": 0.0},
            "jax.numpy:argmax",
            note="of the logits at the first masked token",
        ),
        options=(
            "max_tokens",
            "pad",
            "mask",
            "block",
            "threshold",
            "alpha",
            "gamma",
            "beta",
        ),
        example="jaxopt_lab.catalog.examples.decoding:masked_prompts",
        exact_when="block 1: the most probable token, from left to right",
        model="masked",
        per_call="block",
        vectors="creditdecoding",
        paper="CreditDecoding, 2025",
        full="dear; its recorded runs and single rows are plain",
    ),
    Decoder(
        name="skip_decode",
        summary="the most probable token of fewer layers at later positions",
        build="jaxopt_lab.inference:skip_decode",
        reduces_to=Neutral(
            {"max_layers": 0, "min_layers": 0},
            "jax.numpy:argmax",
            note="of the logits at the prompt",
        ),
        options=(
            "max_tokens",
            "pad",
            "max_layers",
            "min_layers",
            "warmup",
            "prompt_decay",
        ),
        example="jaxopt_lab.catalog.examples.decoding:layered_prompts",
        exact_when="all layers: the most probable token",
        model="layers",
        paper="Del Corro et al. 2023, arXiv:2307.02628",
        full="dear; its loop in NumPy and the masked rows are plain",
    ),
    Decoder(
        name="speculative",
        summary="tokens of a large model, several in one call, drafted by a small one",
        build="jaxopt_lab.inference:speculative",
        reduces_to=Neutral(
            {"max_tokens": 1}, "jax.numpy:argmax", note="of the logits at the prompt"
        ),
        options=(
            "max_tokens",
            "pad",
            "drafts",
            "temperature",
            "top_k",
            "top_p",
            "seats",
        ),
        example="jaxopt_lab.catalog.examples.decoding:drafted_prompts",
        exact_when="always: the target's greedy tokens, or its distribution",
        model="chunk",
        per_call="drafts",
        paper="Batch Speculative Decoding Done Right, 2025",
        full="dear; a thousand prompts and its distribution are plain",
    ),
)
