"""Text from a run: streamed, stopped, one program for all prompts, refusals."""

import itertools
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.commands.generate import main
from jaxopt_lab.lab.generation.characters import Characters, visible
from jaxopt_lab.lab.generation.generator import Generator
from jaxopt_lab.lab.models import MODELS, Wanted
from jaxopt_lab.lab.models.configs import LSTMConfig

CHARACTERS = " abcd"
TABLE = np.random.default_rng(0).normal(size=(5, 5)) * 2


def run_of(
    table=TABLE, characters=CHARACTERS, name="run", apply=None, **changes
) -> Any:
    """A run whose next character depends on the last one alone."""
    table = jnp.asarray(table, jnp.float32)
    apply = apply or (lambda params, tokens: params[tokens])
    model = Functional(None, lambda p, s, x, *, train: (apply(p, x), s))  # type: ignore[arg-type]
    given = {
        "folder": name,
        "kind": "text",
        "seeds": 1,
        "configuration": types.SimpleNamespace(
            rows=types.SimpleNamespace(model=MODELS["lstm"]), model=LSTMConfig()
        ),
        "model": model,
        "params": table,
        "model_state": {},
        "input_shape": (8,),
        "num_classes": table.shape[1],
        "characters": characters,
    }
    return types.SimpleNamespace(**{**given, **changes})


def plain(prompt, count):
    tokens = [CHARACTERS.index(c) for c in prompt]
    for _ in range(count):
        tokens.append(int(TABLE[tokens[-1]].argmax()))
    return "".join(CHARACTERS[t] for t in tokens[-count:])


def test_text_is_streamed_once_and_by_one_program():
    pieces = []
    generator = Generator(run_of(), "greedy", tokens=6)
    for prompt in ("a", "bad cab", "d" * 20):
        pieces.clear()
        found = generator(prompt, on_text=pieces.append)
        assert found.text == "".join(pieces) == plain(prompt, 6)
        assert len(pieces) == 6 and (found.steps, len(found.tokens)) == (6, 6)
        assert found.calls == len(prompt) + 5
    assert generator.programs == 1


def test_drafts_are_streamed_as_they_are_accepted():
    pieces = []
    options = {"draft": run_of(TABLE + 0.5 * TABLE[::-1]), "drafts": 3}
    generator = Generator(run_of(), "speculative", tokens=9, **options)
    found = generator("cad", on_text=pieces.append)
    assert found.text == "".join(pieces) == plain("cad", 9)
    assert found.calls == found.steps + 1 and len(pieces) <= found.calls
    assert 0 <= found.counts["accepted"] <= found.counts["drafted"]
    assert found.counts["drafted"] == 3 * found.steps


def test_a_stop_ends_the_program_and_the_next_text_is_whole():
    generator = Generator(run_of(), "greedy", tokens=600)
    calls = itertools.count()

    def stop(text):
        if next(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator("a", on_text=stop)
    # Well before the end, but for calls that are under way.
    assert next(calls) == 3
    pieces = []
    assert generator("b", on_text=pieces.append).text == "".join(pieces)
    assert "".join(pieces) == plain("b", 600)


def network(name, **options):
    """A run of a transformer with large weights, so that its text varies."""
    config = MODELS[name].config(width=8, heads=2, depth=2, context=16, **options)
    model = MODELS[name].functional(config, Wanted((16,), 5))
    params, _ = jax.jit(model.init, compiler_options=QUICK)(jax.random.key(1))
    rng = np.random.default_rng(3)
    noise = lambda p: (p + 0.7 * rng.normal(size=p.shape)).astype(p.dtype)
    params = jax.tree.map(noise, params)
    rows = types.SimpleNamespace(model=MODELS[name])
    configuration = types.SimpleNamespace(rows=rows, model=config)
    changes = {"model": model, "params": params, "configuration": configuration}
    return run_of(**changes)


@pytest.mark.full
def test_a_transformer_by_its_layers_and_without_a_cache_gives_the_same_text():
    run = network("transformer")
    told = []
    wanted = Generator(run, "greedy", tokens=9)("ad", on_text=told.append).text
    assert "".join(told) == wanted
    found = Generator(run, "skip_decode", tokens=9)("ad", on_text=told.append)
    assert found.text == wanted and "".join(told) == 2 * wanted
    assert found.counts["layers"] == 2 * found.calls
    rows = types.SimpleNamespace(model=types.SimpleNamespace(name="own:Net"))
    own = types.SimpleNamespace(rows=rows, model=run.configuration.model)
    run.configuration = own
    assert Generator(run, "greedy", tokens=9)("ad").text == wanted


@pytest.mark.full
def test_a_masked_model_fills_its_text_in():
    run, told = network("masked_transformer"), []
    generator = Generator(run, "credit_decoding", tokens=9, block=4, threshold=0.6)
    found = generator("ad", on_text=told.append)
    assert found.text == "".join(told) and len(found.text) == 9
    assert set(found.text) <= set(CHARACTERS) and found.calls <= 9
    with pytest.raises(InputError, match="accepted: credit_decoding"):
        Generator(run, "greedy")


def test_a_run_of_tokens_without_characters():
    generator = Generator(run_of(characters=""), "greedy", tokens=2)
    found = generator("1, 2")
    assert found.text == "".join(f"{t}," for t in found.tokens)
    with pytest.raises(InputError, match="numbers from 0 to 4 with commas"):
        generator("1,9")


LATE = lambda params, tokens: params[jnp.flip(tokens, 1)]


@pytest.mark.parametrize(
    "words, call",
    [
        ("unknown decoder 'gredy'; perhaps", lambda: Generator(run_of(), "gredy")),
        (
            "decoder=credit_decoding takes a model of masked tokens; run is one of "
            "next tokens: accepted: greedy, sample, ",
            lambda: Generator(run_of(), "credit_decoding"),
        ),
        (
            "unknown option of greedy 'top_k'",
            lambda: Generator(run_of(), "greedy", top_k=1),
        ),
        ("top_k=-1 is out of range", lambda: Generator(run_of(), top_k=-1)),
        (
            "decoder=speculative needs draft=",
            lambda: Generator(run_of(), "speculative"),
        ),
        (
            "draft=small has another vocabulary of 4 tokens; accepted: that of run, 5",
            lambda: Generator(
                run_of(),
                "speculative",
                draft=run_of(TABLE[:4, :4], CHARACTERS[1:], "small"),
            ),
        ),
        (
            "draft=small has another vocabulary",
            lambda: Generator(
                run_of(), "speculative", draft=run_of(characters="vwxyz", name="small")
            ),
        ),
        ("draft= is not used", lambda: Generator(run_of(), draft=run_of())),
        ("is a run on image data", lambda: Generator(run_of(kind="image"))),
        ("run has 2 seeds", lambda: Generator(run_of(seeds=2))),
        (
            "tokens=8 leave no room for a prompt: the run's context is 8",
            lambda: Generator(with_context(8), tokens=8),
        ),
        (
            "prompt has 7 tokens; accepted: at most 6, as tokens=2 follow and the "
            "run's context is 8",
            lambda: Generator(with_context(8), tokens=2)("abcdabc"),
        ),
        ("prompt is empty", lambda: Generator(run_of())("")),
        (
            "prompt holds 'x', '\\\\n', which the run's text does not; accepted: ' abc",
            lambda: Generator(run_of())("ax\nx"),
        ),
        (
            "model own:Net lets a token see later ones",
            lambda: Generator(
                run_of(
                    apply=LATE,
                    configuration=types.SimpleNamespace(
                        rows=types.SimpleNamespace(
                            model=types.SimpleNamespace(name="own:Net")
                        ),
                        model=None,
                    ),
                )
            ),
        ),
    ],
)
def test_bad_input(words, call):
    with pytest.raises(InputError, match=words):
        call()


def with_context(context):
    found = run_of()
    found.configuration.model = types.SimpleNamespace(context=context)
    return found


def test_nan_of_the_model_is_an_error():
    with pytest.raises(InputError, match="the model of run gives NaN"):
        Generator(run_of(TABLE * np.nan), "greedy", tokens=2)("a")


def test_characters_and_what_a_terminal_shows():
    words = Characters("abn", 3)
    assert words.text([0, 7, 2]) == "a\ufffdn"
    assert visible("a\x1b[2J\nb\x00é") == "a\\x1b[2J\nb\\x00é"


@pytest.mark.parametrize(
    "words, said",
    [
        (["prompt=a"], "run= is missing: the folder of a run"),
        (["run=none", "prompt="], "prompt is empty"),
        (["run=none"], "prompt= is missing: the text to go on from"),
        (["run=none", "prompt=a"], "none holds no run"),
        (["run=none", "prompt=a", "tokens=0"], "tokens=0 is out of range"),
        (["run=none", "prompt=a", "decoder=x"], "unknown decoder 'x'"),
        (
            ["run=none", "prompt=a", "decoder=greedy", "top_k=2"],
            "unknown option 'top_k'",
        ),
    ],
)
def test_the_command_refuses_in_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_help_shows_the_options_of_the_decoder(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["decoder=speculative", "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--drafts" in said and "credit_decoding" in said and "--draft " in said
