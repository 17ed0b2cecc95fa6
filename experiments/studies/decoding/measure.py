"""Train, decode with every decoder, and count."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.decoding import networks
from experiments.studies.decoding.config import Config
from jaxopt_lab.data.text import load_text
from jaxopt_lab.inference import (
    Draft,
    credit_decoding,
    greedy,
    next_step,
    skip_decode,
    speculative,
)
from jaxopt_lab.lab.models.cached import empty_cache

TIE = 1e-5
"""Logits of two tokens that are nearer than this are a tie in float32."""


class Measured(NamedTuple):
    """Everything that is measured, by name; ``(seeds,)`` each.

    Attributes:
      per_call: new tokens of a row in a call of the model that made some.
      calls: all calls of the model, the reading of the prompts included.
      accepted: part of the drafted tokens.
      layers: part of the layers that ran.
      losses: of the target and of its tuned forms, on fresh rows.
      seconds: of a decoder over those of cached greedy decoding.
      differing: rows of speculative text that are not the greedy text.
      unexplained: those whose first difference is no tie.
      sizes: parameters of target and draft.
    """

    per_call: dict[str, np.ndarray]
    calls: dict[str, np.ndarray]
    accepted: dict[str, np.ndarray]
    layers: dict[str, np.ndarray]
    losses: dict[str, np.ndarray]
    seconds: dict[str, np.ndarray]
    differing: np.ndarray
    unexplained: np.ndarray
    sizes: dict[str, np.ndarray]


def prepare(config: Config, text: str | None = None) -> tuple[Config, dict[str, Any]]:
    """Read the text, so that a typo in its path ends the run at once.

    Args:
      config: the size of the study.
      text: path of a text file; ``None``: a Markov chain.

    Returns:
      The settings, and the arguments of ``measure``.

    Raises:
      InputError: there is no such text.
    """
    words = None if text is None else load_text(text, config.context)
    return config, {"words": words}


def measure(config: Config, store: Store, words: Any = None) -> Measured:
    """The measurements of every seed.

    Args:
      config: the size of the study.
      store: keeps the row of each seed.
      words: a text as ``load_text`` gives it.

    Returns:
      The measurements.
    """
    rows, found = store.group("seeds"), []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        take = functools.partial(_of_seed, config, words, seed)
        found.append(rows.measured(str(seed), take))
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name in found[0]:
        group, _, arm = name.partition("/")
        values = np.array([float(row[name]) for row in found])
        groups.setdefault(group, {})[arm] = values
    counts = groups.pop("text")
    return Measured(**groups, **counts)  # type: ignore[arg-type]


def _of_seed(config: Config, words: Any, seed: int) -> dict[str, float]:
    text, tokens = networks.source(config, words)
    key = jax.random.fold_in(jax.random.key(1), seed)
    keys = iter(jax.random.split(key, 16))
    made, target = networks.model(config, "transformer", tokens)
    small = {"width": config.draft_width, "depth": 1, "heads": 1}
    draft_made, draft = networks.model(config, "transformer", tokens, **small)
    _, masked = networks.model(config, "masked_transformer", tokens)

    def start(net: Any) -> Any:
        return networks.jitted(config, net.init)(next(keys))[0]

    def fitted(loss: Any, net: Any) -> Any:
        train = networks.trainer(config, loss, text)
        return train(start(net), jax.random.split(next(keys), config.steps), ())

    loss = networks.layered_loss(config, made, target)
    train = networks.trainer(config, loss, text)
    every = np.ones((config.context, config.depth), bool)
    params = train(start(target), jax.random.split(next(keys), config.steps), every)
    draft_params = fitted(networks.next_loss(draft), draft)
    masked_params = fitted(networks.masked_loss(masked, tokens), masked)
    fresh = text(next(keys), max(config.prompts // 4, 8))
    found: dict[str, float] = {}
    tuned, more = {}, jax.random.split(next(keys), config.tuning)
    tested = networks.jitted(config, loss)
    arms = {"full": every, **networks.schedules(config, config.context)}
    for arm, active in arms.items():
        tuned[arm] = train(params, more, active)
        found[f"losses/{arm}"] = float(tested(tuned[arm], fresh, fresh, active))
        found[f"layers/{arm}"] = float(active.mean())
    prompt = text(next(keys), config.prompts)[:, : config.longest]
    lengths = jax.random.randint(
        next(keys), (config.prompts,), 1, config.longest + 1, jnp.int32
    )
    decoders = _decoders(config, made, target, draft_made, draft, masked)
    weights = {
        "greedy": params,
        "speculative": (params, draft_params),
        "pool": (params, draft_params),
        "skip": tuned["skip"],
        "credit": (masked_params, 0.7),
        "threshold": (masked_params, 0.0),
    }
    equal = jnp.full_like(lengths, config.longest)
    seconds, plain = {}, None
    programs = {decode: networks.jitted(config, decode) for decode in decoders.values()}
    for name, decode in decoders.items():
        run = programs[decode]
        given = weights[name], prompt
        result = jax.block_until_ready(run(*given, equal))
        found[f"per_call/{name}"] = _per_call(name, config, result)
        found[f"calls/{name}"] = int(result.calls)
        if result.counts and "drafted" in result.counts:
            share = int(result.counts["accepted"]) / int(result.counts["drafted"])
            found[f"accepted/{name}"] = share
        seconds[name] = _seconds(lambda run=run, g=given: run(*g, equal), config.timed)
        found[f"seconds/{name}"] = seconds[name] / seconds["greedy"]
        if name in ("greedy", "speculative"):
            # Rows of several lengths, by the same program.
            uneven = run(*given, lengths)
            if name == "greedy":
                plain = uneven
            else:
                apply = lambda x: target.apply(params, {}, x, train=False)[0]
                assert plain is not None  # the first of them is greedy
                differing, broken = _differences(
                    plain.tokens, uneven.tokens, networks.jitted(config, apply)
                )
                found["text/differing"], found["text/unexplained"] = differing, broken
    for name, tree in (("target", params), ("draft", draft_params)):
        found[f"sizes/{name}"] = sum(x.size for x in jax.tree.leaves(tree))
    return found


def _per_call(name: str, config: Config, result: Any) -> float:
    """New tokens of a row in a round; of a pool, of a seat."""
    rounds = int(result.steps) * (config.seats if name == "pool" else config.prompts)
    return config.prompts * config.new / rounds


def _decoders(
    config: Config, made: Any, target: Any, draft_made: Any, draft: Any, masked: Any
) -> dict[str, Callable[..., Any]]:
    rows, total = config.prompts, config.longest + config.new + config.drafts
    given = {"max_tokens": config.new, "cache": empty_cache(made, rows, total)}
    step, small = networks.chunk_step(target), networks.chunk_step(draft)
    small_cache = empty_cache(draft_made, rows, total)

    def speculate(params: Any, prompt: Any, lengths: Any, seats: int = 0) -> Any:
        drafting = Draft(small, params[1], small_cache)
        options = {"draft": drafting, "drafts": config.drafts, "seats": seats}
        return speculative(step, params[0], prompt, lengths=lengths, **options, **given)

    def credit(given: Any, prompt: Any, lengths: Any) -> Any:
        params, alpha = given
        return credit_decoding(
            networks.masked_step(masked),
            params,
            prompt,
            cache=(),
            lengths=lengths,
            max_tokens=config.new,
            block=config.block,
            threshold=config.threshold,
            alpha=alpha,
        )

    layered = networks.layered_step(target, config.depth)
    least = {"max_layers": config.max_layers, "min_layers": config.min_layers}
    least["warmup"] = config.warmup
    return {
        "greedy": lambda p, x, n: greedy(next_step(step), p, x, lengths=n, **given),
        "speculative": speculate,
        "pool": functools.partial(speculate, seats=config.seats),
        "skip": lambda p, x, n: skip_decode(
            layered, p, x, lengths=n, prompt_decay=True, **least, **given
        ),
        "credit": credit,
        "threshold": credit,
    }


def _seconds(run: Callable[[], Any], times: int) -> float:
    """The shortest wall time of some runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        found.append(time.perf_counter() - begun)
    return min(found)


def _differences(plain: Any, other: Any, apply: Any) -> tuple[int, int]:
    """Rows that differ, and those whose first difference is no tie of the logits."""
    plain, other = np.asarray(plain), np.asarray(other)
    rows = np.flatnonzero((plain != other).any(1))
    if not rows.size:
        return 0, 0
    first = (plain[rows] != other[rows]).argmax(1)
    logits = np.asarray(apply(plain))[rows, first - 1]
    two = np.sort(logits, axis=1)[:, -2:]
    return len(rows), int(np.sum(two[:, 1] - two[:, 0] >= TIE))
