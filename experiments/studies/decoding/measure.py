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
      per_call: new tokens of a row in a call of the model that made some; of a batch
        whose rows wait for the last one, of a seat in a pool, and by ``credit`` and
        ``threshold`` of rows by themselves.
      calls: all calls of the model, the reading of the prompts included.
      accepted: part of the drafted tokens.
      layers: part of the layers that ran.
      losses: of the target and of its tuned forms, on fresh rows.
      seconds: of a decoder over those of cached greedy decoding.
      differing: rows of speculative text that are not the greedy text.
      unexplained: those whose first difference is no tie.
      differing64: rows that are not the greedy text in float64.
      programs: compilations of speculative decoding for all lengths of the prompts, in
        float32.
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
    differing64: np.ndarray
    programs: np.ndarray
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
    """The measurements of every seed; see ``Experiment.measure``.

    Args:
      words: a text as ``load_text`` gives it.
    """
    made = _programs(config, words)
    rows, found = store.group("seeds"), []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        take = functools.partial(_of_seed, config, made, seed)
        found.append(rows.measured(str(seed), take))
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name in found[0]:
        group, _, arm = name.partition("/")
        values = np.array([float(row[name]) for row in found])
        groups.setdefault(group, {})[arm] = values
    counts = groups.pop("text")
    return Measured(**groups, **counts)  # type: ignore[arg-type]


class _Programs(NamedTuple):
    """What all seeds share, compiled once.

    Attributes:
      text: the source for training.
      unseen: that of the test.
      init: of each network.
      train: likewise; that of the target takes the active layers.
      tested: the loss of the target.
      logits: of the target.
      decoders: by name, of parameters, prompts and lengths.
      wide: greedy and speculative decoding in float64.
    """

    text: networks.Draw
    unseen: networks.Draw
    init: dict[str, Callable[..., Any]]
    train: dict[str, Callable[..., Any]]
    tested: Callable[..., Any]
    logits: Callable[..., Any]
    decoders: dict[str, Any]
    wide: dict[str, Any]


def _programs(config: Config, words: Any) -> _Programs:
    text, tokens = networks.source(config, words)
    unseen, _ = networks.source(config, words, test=True)
    made, target = networks.model(config, "transformer", tokens)
    draft_made, draft = networks.draft_model(config, tokens)
    _, masked = networks.model(config, "masked_transformer", tokens)
    loss = networks.layered_loss(config, made, target)
    losses = {
        "target": loss,
        "draft": networks.next_loss(draft),
        "masked": networks.masked_loss(masked, tokens),
    }
    nets = {"target": target, "draft": draft, "masked": masked}
    jitted = functools.partial(networks.jitted, config)
    decoders = _decoders(config, made, target, draft_made, draft, masked)
    with jax.enable_x64(True):
        double = {"dtype": "float64"}
        made_wide, target_wide = networks.model(config, "transformer", tokens, **double)
        made_small, draft_wide = networks.draft_model(config, tokens, **double)
        wide = _decoders(config, made_wide, target_wide, made_small, draft_wide, masked)
    return _Programs(
        text,
        unseen,
        {name: jitted(net.init) for name, net in nets.items()},
        {name: networks.trainer(config, each, text) for name, each in losses.items()},
        jitted(loss),
        jitted(lambda params, x: target.apply(params, {}, x, train=False)[0]),
        {name: jitted(decode) for name, decode in decoders.items()},
        {name: jitted(wide[name]) for name in ("greedy", "speculative")},
    )


def _of_seed(config: Config, made: _Programs, seed: int) -> dict[str, float]:
    keys = iter(jax.random.split(jax.random.fold_in(jax.random.key(1), seed), 16))
    every = np.ones((config.context, config.depth), bool)
    extras = {"target": every, "draft": (), "masked": ()}
    trained = {}
    for name, extra in extras.items():
        start = made.init[name](next(keys))[0]
        steps = jax.random.split(next(keys), config.steps)
        trained[name] = made.train[name](start, steps, extra)
    fresh = made.unseen(next(keys), max(config.prompts // 2, 8))
    found: dict[str, float] = {}
    tuned, more = {}, jax.random.split(next(keys), config.tuning)
    arms = {"full": every, **networks.schedules(config, config.context)}
    for arm, active in arms.items():
        tuned[arm] = made.train["target"](trained["target"], more, active)
        found[f"losses/{arm}"] = float(made.tested(tuned[arm], fresh, fresh, active))
        found[f"layers/{arm}"] = float(active.mean())
    prompt = made.unseen(next(keys), config.prompts)[:, : config.longest]
    lengths = jax.random.randint(
        next(keys), (config.prompts,), 1, config.longest + 1, jnp.int32
    )
    both = trained["target"], trained["draft"]
    weights = {
        "greedy": trained["target"],
        "speculative": both,
        "pool": both,
        "skip": tuned["skip"],
        "credit": (trained["masked"], 0.7),
        "threshold": (trained["masked"], 0.0),
    }
    equal = jnp.full_like(lengths, config.longest)
    seconds = {}
    for name, run in made.decoders.items():
        given = weights[name], prompt, equal
        result = jax.block_until_ready(run(*given))
        found[f"per_call/{name}"] = _per_call(name, config, result)
        found[f"calls/{name}"] = int(np.max(result.calls))
        if result.counts and "drafted" in result.counts:
            share = int(result.counts["accepted"]) / int(result.counts["drafted"])
            found[f"accepted/{name}"] = share
        seconds[name] = _seconds(functools.partial(run, *given), config.timed)
        found[f"seconds/{name}"] = seconds[name] / seconds["greedy"]
    # Rows of several lengths, by the same programs.
    plain, other = (
        made.decoders[name](weights[name], prompt, lengths).tokens
        for name in ("greedy", "speculative")
    )
    differing, broken = _differences(
        plain, other, functools.partial(made.logits, trained["target"])
    )
    found["text/differing"], found["text/unexplained"] = differing, broken
    found["text/programs"] = made.decoders["speculative"]._cache_size()
    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), both)
        own = {"greedy": double[0], "speculative": double}
        plain, other = (
            run(own[name], prompt, lengths).tokens for name, run in made.wide.items()
        )
        found["text/differing64"] = int(np.sum(np.any(plain != other, axis=1)))
    for name, tree in zip(("target", "draft"), both, strict=True):
        found[f"sizes/{name}"] = sum(x.size for x in jax.tree.leaves(tree))
    return found


def _per_call(name: str, config: Config, result: Any) -> float:
    """New tokens of a row in a round, the mean of rows; of a pool, of a seat."""
    if name == "pool":
        return config.prompts * config.new / (config.seats * int(result.steps))
    return float(np.mean(config.new / np.asarray(result.steps)))


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

        def one(row: jax.Array, length: jax.Array) -> Any:
            return credit_decoding(
                networks.masked_step(masked),
                params,
                row[None],
                cache=(),
                lengths=length[None],
                max_tokens=config.new,
                block=config.block,
                threshold=config.threshold,
                alpha=alpha,
            )

        # The calls of each row, which in a batch are those of its slowest row.
        return jax.vmap(one)(prompt, lengths)

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
