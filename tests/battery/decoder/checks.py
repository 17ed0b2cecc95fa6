"""The checks of decoders."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from battery.decoder.subject import PAD, DecoderSubject
from battery.parts.common import register_common
from battery.parts.compare import assert_equal
from battery.parts.host import OF_FUNCTIONS
from battery.parts.subject import KEY
from battery.registry import check
from jaxopt_lab.catalog.part import loaded

register_common(DecoderSubject, without=OF_FUNCTIONS)


@check("decoder")
def greedy(subject: DecoderSubject) -> None:
    """It is the plain loop, the greedy one of the next token, for every length."""
    for lengths, found in subject.cases:
        words = f"for prompts of {lengths.tolist()} tokens it is not the plain loop"
        assert_equal(found.tokens, subject.plain(lengths), words)


@check("decoder")
def one_program(subject: DecoderSubject) -> None:
    """Shapes are fixed: one program serves all lengths and ends."""
    shapes = {
        (found.tokens.shape, str(found.tokens.dtype)) for _, found in subject.cases
    }
    assert len(shapes) == 1, f"the tokens have the shapes {shapes}"
    traces = len(subject.program[1])
    assert traces == 1, (
        f"{len(subject.cases)} sets of lengths were traced {traces} times"
    )
    kept = jax.make_jaxpr(subject.decode)(
        subject.inputs["params"],
        subject.inputs["prompt"],
        subject.inputs["lengths"],
        np.int32(0),
        KEY,
    )
    assert all("callback" not in str(e.primitive) for e in kept.jaxpr.eqns), (
        "it calls back to the host"
    )


@check("decoder")
def ends(subject: DecoderSubject) -> None:
    """After its end token a row is padded, and the others go on."""
    lengths = subject.inputs["lengths"]
    free = subject.plain(lengths)
    end = int(free[0, lengths[0] + 1])
    found = subject.found(lengths, end=end)
    words = "with an end token it is not the plain loop"
    assert_equal(found.tokens, subject.plain(lengths, end), words)


@check("decoder")
def limits(subject: DecoderSubject) -> None:
    """Rows end at limits of their own, and the program is the same."""
    lengths = subject.inputs["lengths"]
    most = lengths + np.arange(len(lengths), dtype=np.int32)[::-1] * 2
    found = subject.found(lengths, limits=most)
    words = "with limits of rows it is not the plain loop"
    assert_equal(found.tokens, subject.plain(lengths, limits=most), words)
    assert len(subject.program[1]) == 1, "limits are traced again"


@check("decoder")
def counts(subject: DecoderSubject) -> None:
    """Steps and calls are counted: at least one call a step, a step a new token."""
    for lengths, found in subject.cases:
        new = found.tokens.shape[1] - int(np.min(lengths))
        steps, calls = int(found.steps), int(found.calls)
        assert 0 < steps <= calls, f"{steps} steps of {calls} calls"
        assert steps <= new, f"{steps} steps for {new} tokens"
        most = 1 + subject.settings.get(subject.row.per_call, 0)
        enough = calls * len(lengths) * most >= new
        assert enough, f"{calls} calls for {new} tokens"


@check("decoder")
def prompts(subject: DecoderSubject) -> None:
    """The prompts come back as they were, and tokens are those of the model."""
    for lengths, found in subject.cases:
        for row, prompt, n in zip(
            found.tokens, subject.inputs["prompt"], lengths, strict=True
        ):
            assert np.array_equal(row[:n], prompt[:n]), "a prompt is changed"
            known = (row[n:] >= 0) & (row[n:] < subject.inputs["params"].shape[1])
            assert np.all(known | (row[n:] == PAD)), f"unknown tokens in {row[n:]}"


@check("decoder")
def same_key(subject: DecoderSubject) -> None:
    """The same key gives the same tokens."""
    one, two, _ = subject.other_key
    assert_equal(one, two, "the same key gives other tokens")


@check("decoder")
def nan_visible(subject: DecoderSubject) -> None:
    """A row whose logits hold a NaN shows -1 and ends; the others go on."""
    lengths = subject.inputs["lengths"]
    params = np.array(subject.inputs["params"])
    first = subject.inputs["prompt"][0, 0]
    params[first] = np.nan
    tokens = subject.found(lengths, params=params).tokens
    seen = subject.inputs["prompt"]
    for b, n in enumerate(lengths):
        if first in seen[b, :n]:
            assert tokens[b, n] == -1, f"a NaN becomes the token {tokens[b, n]}"


@check("decoder")
def strict_promotion(subject: DecoderSubject) -> None:
    """It is traced without an implicit change of type, for narrow logits too."""
    for dtype in (jnp.float64, jnp.float32, jnp.bfloat16):
        params = jax.ShapeDtypeStruct(subject.inputs["params"].shape, dtype)
        with jax.numpy_dtype_promotion("strict"):
            found = jax.eval_shape(
                subject.decode,
                params,
                subject.inputs["prompt"],
                subject.inputs["lengths"],
                np.int32(0),
                KEY,
            )
        assert found.tokens.dtype == jnp.int32, f"tokens are {found.tokens.dtype}"


@check("decoder")
def neutral(subject: DecoderSubject) -> None:
    """The first new token is the simpler thing that the row names, of the logits."""
    simpler = loaded(subject.row.reduces_to.equals)
    params, found = subject.inputs["params"], subject.simpler
    for b, n in enumerate(subject.cases[0][0]):
        prompt = subject.inputs["prompt"][b, :n].tolist()
        logits = subject.model.logits(params, prompt, found.tokens.shape[1])
        wanted = simpler(jnp.asarray(logits))
        name = subject.row.reduces_to.equals
        assert found.tokens[b, n] == wanted, f"the first new token is not {name}"
