"""The study on the claims of the sharpness papers, at a tiny size."""

import dataclasses
import gzip
import json
import struct

import jax
import numpy as np
import pytest

from experiments.harness.store import Store
from experiments.harness.verdicts import judge
from experiments.studies.sharpness import (
    claims,
    columns,
    evaluation,
    measure,
    redundancy,
    rows,
    tasks,
    training,
)
from experiments.studies.sharpness.__main__ import STUDY
from experiments.studies.sharpness.config import SIZES, Config, Panel
from jaxopt_lab.core.errors import InputError

BY_NAME = {row.name: row for row in rows.ROWS}


def all_but(*names):
    return tuple(name for name in BY_NAME if name not in names)


CLEAN = Panel(
    "clean",
    "digits",
    steps=3,
    rates=(0.02, 0.05),
    radii=(0, 1),
    decays=(1e-3, 5e-3),
    stops=(0.25,),
    noise_levels=(0.1,),
    flatness=True,
    equal_radii=(0.05,),
    without=all_but("sgd", "sam", "lookbehind k=2 static", "lookbehind k=2 alpha=0.2"),
)
WRONG = dataclasses.replace(
    CLEAN,
    name="wrong",
    flipped=0.4,
    noise_levels=(),
    flatness=False,
    equal_radii=(),
    without=all_but("sgd", "sgd, early stopping", "sam"),
)
TINY = Config(
    panels=(CLEAN, WRONG),
    seeds=2,
    width=8,
    noise_draws=1,
    lanczos_steps=3,
    directions=1,
    flatness_examples=20,
)


def result_of(name, scores, column, panel):
    found = columns.result(BY_NAME[name], scores, column, panel)
    assert found is not None
    return found


def verdict_of(said, results):
    claim = claims.gain(said, results)
    assert claim is not None
    return judge([claim])[0]


@pytest.fixture
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.full
def test_leaves_its_files_and_goes_on_where_it_was_killed(
    tmp_path, capsys, monkeypatch, as_in_the_command
):
    verdicts = STUDY.run(TINY, tmp_path).verdicts
    said = {v.claim for v in verdicts}
    assert said >= {"sam > sgd", "lookbehind k=2 static > sam"}
    record = json.loads((tmp_path / "results.json").read_text())
    assert len(record["verdicts"]) == len(verdicts)
    for found in record["results"]:
        assert len(found["curve"]) == 2 and len(found["values"]) == 2
        assert np.all(np.isfinite(found["values"]))
    assert record["alpha"]["clean"]["runs"] == 4
    for name in ("clean.png", "wrong.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "sam > sgd" in shown and "wrong, sam: " in shown

    cut = json.loads((tmp_path / "clean.json").read_text())
    del cut["rows"]["sam"]
    (tmp_path / "clean.json").write_text(json.dumps(cut))
    trained = []
    scores = training.Laboratory.scores

    def spy(self, row, panel, sample):
        trained.append((panel.name, row.name))
        return scores(self, row, panel, sample)

    monkeypatch.setattr(training.Laboratory, "scores", spy)
    STUDY.run(TINY, tmp_path)
    assert trained == [("clean", "sam")]
    again = json.loads((tmp_path / "results.json").read_text())
    assert again["verdicts"] == record["verdicts"]

    # A killed run leaves the rows before it, and none after.
    def killed(self, row, panel, sample):
        if row.name == "sam":
            raise KeyboardInterrupt
        return scores(self, row, panel, sample)

    monkeypatch.setattr(training.Laboratory, "scores", killed)
    with pytest.raises(KeyboardInterrupt):
        STUDY.run(dataclasses.replace(TINY, panels=(WRONG,)), tmp_path / "killed")
    left = json.loads((tmp_path / "killed" / "wrong.json").read_text())
    assert list(left["rows"]) == ["sgd", "sgd, early stopping"]


def test_a_file_of_other_settings_or_damaged_is_refused(tmp_path):
    def group(panel=CLEAN, config=TINY):
        return measure.panel_rows(Store(tmp_path, None), panel, config)

    sgd = measure.about(BY_NAME["sgd"], CLEAN)
    group().add("sgd", {"clean": np.zeros((2, 2, 2))}, sgd)
    found = group().get("sgd", sgd)
    assert found is not None
    np.testing.assert_array_equal(found["clean"], np.zeros((2, 2, 2)))
    assert group().get("sam", measure.about(BY_NAME["sam"], CLEAN)) is None
    changed = dataclasses.replace(BY_NAME["sgd"], rate_scale=2.0)
    assert group().get("sgd", measure.about(changed, CLEAN)) is None
    # A panel does not depend on the others.
    group(config=dataclasses.replace(TINY, panels=(CLEAN,)))
    for other in (
        (dataclasses.replace(CLEAN, steps=4), TINY),
        (CLEAN, dataclasses.replace(TINY, width=9)),
    ):
        with pytest.raises(InputError, match="other settings"):
            group(*other)
    (tmp_path / "clean.json").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        group()


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
def test_all_rows_have_the_same_tuning_budget(config):
    for panel in config.panels:
        sizes = {len(rows.settings(row, panel)) for row in rows.of(panel)}
        assert sizes == {len(panel.rates)}
        row = dataclasses.replace(BY_NAME["sam"], radii=(0.1,))
        with pytest.raises(InputError, match="the tuning budget of all rows"):
            rows.settings(row, panel)
        assert set(panel.without) <= set(BY_NAME)


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
def test_every_claim_is_about_rows_and_columns_that_there_are(config):
    headings = {(c.panel, c.name) for c in columns.columns(config)}
    panels = {panel.name: panel for panel in config.panels}
    found = claims.compared(config)
    for claim in found:
        assert (claim.column.panel, claim.column.name) in headings
        there = {row.name for row in rows.of(panels[claim.column.panel])}
        assert {claim.better, claim.worse} <= there
    said = {(c.column.panel, c.column.name, c.better, c.worse) for c in found}
    there = {row.name for row in rows.of(panels["digits"])}
    for rho in ("0.05", "0.1"):
        where = ("digits", f"top eigenvalue, rho {rho}")
        for pair in (("sam", "sgd"), ("msam m=4", "sam"), ("msam m=16", "msam m=4")):
            assert ((*where, *pair) in said) == ({*pair} <= there)
    assert {"sam", "sgd", "msam m=4"} <= there
    for sgd in ("sgd, decay tuned", "sgd, early stopping"):
        assert ("digits-40-percent-wrong", "decay tuned", "sam", sgd) in said


@pytest.mark.full
def test_step_by_step_is_the_same_as_in_one_program(as_in_the_command):
    task = tasks.load("digits", TINY)
    found = []
    for vectorised in (True, False):
        laboratory = training.prepare(TINY, task._replace(vectorised=vectorised))
        sample = laboratory.sample(CLEAN)
        found.append(laboratory.scores(BY_NAME["sam"], CLEAN, sample))
    assert (
        found[0].keys()
        == found[1].keys()
        == {"clean", "weight noise 0.1", *columns.FLATNESS}
    )
    for name, one in found[0].items():
        flat = name in columns.FLATNESS
        assert one.shape == ((2, 2) if flat else (2, 2, 2))
        # One example of 400 may fall on the other side.
        rtol, atol = (2e-3, 1e-6) if flat else (0.0, 0.003)
        np.testing.assert_allclose(one, found[1][name], rtol=rtol, atol=atol)


def test_the_setting_is_chosen_on_the_validation_part_under_the_same_noise():
    accuracies = {"clean": np.zeros((2, 2, 2)), "weight noise 0.1": np.zeros((2, 2, 2))}
    accuracies["clean"][1, :, 0] = 0.9  # clean validation prefers setting 1
    accuracies["weight noise 0.1"][0, :, 0] = 0.8  # noisy validation setting 0
    accuracies["weight noise 0.1"][1, :, 1] = 1.0  # the test part would prefer 1
    accuracies["weight noise 0.1"][0, :, 1] = [0.4, 0.6]
    flat = {name: np.array([[1.0, 2.0], [3.0, 4.0]]) for name in columns.FLATNESS}
    scores = {**accuracies, **flat}
    clean, noisy, eigenvalue, *_ = columns.tuned(CLEAN)
    assert result_of("sam", scores, clean, CLEAN).chosen == 1
    found = result_of("sam", scores, noisy, CLEAN)
    assert found.chosen == 0 and found.at_the_edge
    np.testing.assert_array_equal(found.values, [0.4, 0.6])
    found = result_of("sam", scores, eigenvalue, CLEAN)
    np.testing.assert_array_equal(found.values, [3.0, 4.0])

    for column in columns.equal_radius(CLEAN):
        assert result_of("sam", scores, column, CLEAN).chosen == 0  # rho 0.05
        assert result_of("sgd", scores, column, CLEAN).chosen == 1
        assert columns.result(BY_NAME["asam"], scores, column, CLEAN) is None


def test_without_decay_is_a_choice_among_fewer_settings():
    panel = dataclasses.replace(
        WRONG, radius_decays=(0.0, 0.1), rates=(0.01, 0.02, 0.05, 0.1)
    )
    scores = {"clean": np.zeros((4, 2, 2))}
    scores["clean"][:, :, 0] = np.array([0.1, 0.2, 0.3, 0.4])[:, None]
    untuned, tuned = columns.tuned(panel)
    assert result_of("sam", scores, untuned, panel).chosen == 1
    assert result_of("sam", scores, tuned, panel).chosen == 3
    panel = dataclasses.replace(panel, decays=(1e-3, 1e-2, 0.1, 0.2))
    assert columns.result(BY_NAME["sgd, decay tuned"], scores, untuned, panel) is None


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((0.1, 0.2, 0.3, 0.2, 0.1), "shown"),
        ((-0.1, 0.2, -0.1, 0.2, 0.1), "undecided"),
        ((-0.001, 0.002, 0.001, -0.002, 0.0), "undecided"),
        ((-0.2, -0.1, -0.1, -0.2, -0.1), "contradicted"),
    ],
)
def test_verdicts(gains, word):
    def of(values):
        return columns.Result(0, False, np.array(values), np.zeros(4))

    column = columns.tuned(CLEAN)[0]
    claim = claims.Compared(column, "sam", "sgd")
    results = {
        ("clean", "clean", "sam"): of(gains),
        ("clean", "clean", "sgd"): of([0.0] * len(gains)),
    }
    assert verdict_of(claim, results).word == word
    assert claims.gain(claim, {}) is None


def test_flatter_means_smaller_and_counts_by_ratios():
    column = next(c for c in columns.tuned(CLEAN) if c.name == evaluation.EIGENVALUE)
    claim = claims.Compared(column, "sam", "sgd")
    results = {
        ("clean", column.name, "sam"): columns.Result(
            0, False, np.array([1.0, 10.0, 1.0, 2.0, 3.0]), np.zeros(2)
        ),
        ("clean", column.name, "sgd"): columns.Result(
            0, False, np.array([2.0, 20.0, 2.1, 4.0, 6.0]), np.zeros(2)
        ),
    }
    found = verdict_of(claim, results)
    assert found.word == "shown"
    assert found.mean == pytest.approx(np.log(2), abs=0.01)
    turned = claims.Compared(column, "sgd", "sam")
    assert verdict_of(turned, results).word == "contradicted"


def test_agreement_of_the_two_lookbehinds():
    one = np.zeros((2, 3, 2))
    two = one.copy()
    two[1, 2, 1] = 0.25
    scores = {
        "lookbehind k=2 static": {"clean": one},
        "lookbehind k=2 alpha=0.2": {"clean": two},
    }
    assert redundancy.redundancy(scores, CLEAN) == redundancy.Agreement(6, 5, 0.25)
    assert redundancy.redundancy({}, CLEAN) is None


def write_fashion(folder, count=40):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for stem in ("train", "t10k"):
        labels = (np.arange(count) % 10).astype(np.uint8)
        # A class is a bright row, so that there is something to learn.
        images = rng.integers(0, 50, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), 2 * labels] = 255
        for name, x in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, x.ndim)) + struct.pack(f">{x.ndim}I", *x.shape)
            (folder / f"{stem}-{name}-ubyte.gz").write_bytes(
                gzip.compress(head + x.tobytes())
            )
    return folder


@pytest.mark.full
def test_the_panel_with_convolutions(tmp_path, capsys, as_in_the_command):
    fashion = write_fashion(tmp_path / "fashion_mnist")
    panel = dataclasses.replace(
        CLEAN,
        name="fashion",
        task="fashion",
        steps=2,
        train_examples=40,
        validation_examples=20,
        batch_size=8,
        without=all_but("sgd", "msam m=4"),
    )
    config = dataclasses.replace(
        TINY, panels=(panel,), seeds=1, channels=(2, 2), dense=4
    )
    # The folder itself, or its parent.
    STUDY.run(config, tmp_path / "out", fashion=str(fashion))
    STUDY.run(config, tmp_path / "out", fashion=str(fashion.parent))
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {found["method"] for found in record["results"]} == {"sgd", "msam m=4"}
    assert "msam m=4" in capsys.readouterr().out


def test_bad_words_are_refused(tmp_path, capsys):
    assert STUDY.main(["huge"]) == 2
    assert STUDY.main(["quick", "where=here"]) == 2
    assert "accepted: fashion, first_seed, only, out" in capsys.readouterr().err
    assert STUDY.main(["quick", "only=digit"]) == 2
    assert "digits" in capsys.readouterr().err
    out = f"out={tmp_path / 'out'}"
    assert STUDY.main(["quick", "only=fashion", out]) == 2
    assert "fashion=FOLDER" in capsys.readouterr().err
    empty = f"fashion={tmp_path}"
    assert STUDY.main(["quick", "only=fashion", out, empty]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1


def test_other_seeds_can_be_asked_for(capsys):
    assert measure.prepare(TINY, first_seed="100")[0].first_seed == 100
    assert STUDY.main(["quick", "only=digits", "first_seed=x"]) == 2
    assert "first_seed=x cannot be read" in capsys.readouterr().err


def test_help_says_how_long_it_takes(capsys):
    assert STUDY.main(["--help"]) == 0
    assert "on one core" in capsys.readouterr().out
