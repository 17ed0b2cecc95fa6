"""Runs in Python: own model, data, loss and metric; read back, tested, exported."""

import functools
import json

import jax
import numpy as np
import optax
import pytest
from flax import nnx

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import export, load, python_runs, run
from jaxopt_lab.lab.commands import evaluate, predict, quantize
from jaxopt_lab.lab.commands import export as export_command
from jaxopt_lab.lab.quantized_run import codes_by_path, quantize_run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)
Y = (X @ RNG.normal(size=(5, 3))).argmax(1)
DATA = ((X[:32], Y[:32]), (X[32:], Y[32:]))


class Net(nnx.Module):
    def __init__(self, in_features, num_classes, width=4, *, rngs):
        self.hidden = nnx.Linear(in_features, width, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.hidden(x)))


def loss(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def largest(logits, labels):
    return logits.max(-1)


OWN = {"model": Net, "data": DATA, "loss": loss, "metrics": {"largest": largest}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "own"
    options = {"seeds": 2, "batch_size": 8, "eval_every": 3, "log_every": 2, "rho": 0.1}
    found = run(
        **OWN, method="momentum_sam", steps=6, save_every=3, out=folder, **options
    )
    return found, folder


def test_it_is_the_training_of_the_library(trained):
    found, folder = trained
    assert (found.step, found.seeds, found.kind) == (6, 2, "image")
    assert found.config["task"] == "data" and found.config["rho"] == 0.1
    table = found.table()
    assert table["accuracy"].shape == (2, 2) and table["step"].tolist() == [3, 6]
    assert "Worst examples" in (folder / "report.html").read_text()
    tested = found.evaluate()
    for name in ("loss", "accuracy", "largest"):
        np.testing.assert_allclose(tested[name], table[name][-1], rtol=1e-6)
    logits = found.apply(X[32:])
    assert logits.shape == (2, 8, 3)
    np.testing.assert_allclose(tested["largest"], logits.max(-1).mean(-1), rtol=1e-6)
    right = (found.predict(X[32:]) == Y[32:]).mean(-1)
    np.testing.assert_allclose(tested["accuracy"], right, rtol=1e-6)


def test_read_back_it_is_the_same_to_the_bit(trained):
    found, folder = trained
    again = load(folder, **OWN)
    np.testing.assert_array_equal(again.apply(X), found.apply(X))
    one = again.seed(1).apply(X)
    np.testing.assert_array_equal(one, found.seed(1).apply(X))
    # Alone, a seed's products are other operations than among all: not to the bit.
    np.testing.assert_allclose(one, found.apply(X)[1], rtol=1e-4, atol=1e-6)
    assert load(folder, 3, **OWN).step == 3
    best = load(folder, "best", **OWN)
    assert best.step == again.summary["best_step"]
    other = again.evaluate((X[:4], Y[:4]))
    assert (
        other["accuracy"].tolist() == (again.predict(X[:4]) == Y[:4]).mean(-1).tolist()
    )


@pytest.mark.parametrize("to", ["npz", "safetensors"])
def test_exported_weights_give_the_same_predictions_to_the_bit(trained, tmp_path, to):
    one = trained[0].seed(1)
    path = export.write(one, to, tmp_path / f"w.{to}")
    if to == "npz":
        named = dict(np.load(path))
    else:
        named = pytest.importorskip("safetensors.numpy").load_file(path)
    empty = one.with_weights(*jax.tree.map(np.zeros_like, (one.params, {})))
    back = export.with_arrays(empty, named)
    np.testing.assert_array_equal(back.apply(X), one.apply(X))
    del named["params/head/bias"]
    with pytest.raises(InputError, match="params/head/bias: got nothing"):
        export.with_arrays(empty, named)


def test_the_exported_program_takes_any_batch(trained, tmp_path):
    pytest.importorskip("flatbuffers")
    one = trained[0].seed(0)
    path = export.write(one, "stablehlo", tmp_path / "m")
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    for n in (1, 5):
        np.testing.assert_array_equal(program.call(X[:n]), one.apply(X[:n]))


def test_commands(trained, tmp_path, monkeypatch, capsys):
    _, folder = trained
    with_own = functools.partial(load, **OWN)
    monkeypatch.setattr(python_runs, "load", lambda f, s, **_: with_own(f, s))
    assert evaluate.main([f"run={folder}", "step=best"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(told["accuracy"]) == 2 and told["run"] == str(folder)
    np.save(tmp_path / "x.npy", X[:3])
    out = tmp_path / "p.npz"
    words = [f"run={folder}", f"input={tmp_path / 'x.npy'}", f"out={out}"]
    assert predict.main(words) == 0
    kept = np.load(out)
    np.testing.assert_array_equal(kept["classes"], trained[0].predict(X[:3])[0])
    np.testing.assert_allclose(kept["probabilities"].sum(-1), 1)
    where = tmp_path / "w.npz"
    assert export_command.main([f"run={folder}", f"out={where}"]) == 0
    assert where.is_file()
    for words, line in [
        (
            [f"run={folder}", "to=onnx"],
            "to=onnx; accepted: npz, safetensors, stable",
        ),
        ([f"run={tmp_path}", "to=npz"], "holds no run"),
        (["to=npz"], "run= is missing: the folder of a run"),
        ([f"run={folder}", "step=last"], "step=last; accepted: latest, best, or a num"),
    ]:
        assert export_command.main(words) == 2
        error = capsys.readouterr().err
        assert line in error and error.count("\n") == 1


def instance():
    # Not while tests are collected: it compiles programs.
    return {"model": Net(5, 3, rngs=nnx.Rngs(0))}


@pytest.mark.parametrize(
    "options, words",
    [
        (instance, "give the class or a function that"),
        ({"model": 3}, "model is 3; accepted: a name"),
        ({"loss": lambda logits: logits}, "cannot be called with logits and labels"),
        ({"metod": "sam"}, "unknown option 'metod'; perhaps you meant 'method'"),
        ({"data": (X, Y[:3])}, "as many labels as inputs"),
        ({"rho": -1.0}, "rho"),
    ],
    ids=["instance", "number", "loss", "typo", "lengths", "range"],
)
def test_what_cannot_be_used_is_told_in_one_line(options, words, tmp_path):
    options = options() if callable(options) else options
    with pytest.raises(InputError, match=words) as caught:
        run(**{**OWN, "steps": 1, "out": tmp_path / "none", **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


def test_the_room_loads_on_use():
    assert jaxopt_lab.lab.load is load


@pytest.mark.full
def test_integers_that_are_divided_are_told(tmp_path):
    images = RNG.integers(0, 256, (24, 2, 2, 1), np.uint8)
    data = ((images, np.arange(24) % 2), (images, np.arange(24) % 2))
    found = run(
        "mlp",
        data,
        "sgd",
        steps=1,
        batch_size=8,
        eval_every=0,
        out=tmp_path,
        report="off",
    )
    assert found.summary["inputs"] == "uint8, divided by 255 in the training step"
    divided = found.apply(images / np.float32(255))
    np.testing.assert_allclose(found.apply(images), divided, rtol=1e-6)


def test_averaged_weights_are_read_back(tmp_path):
    options = {
        "ema": 0.5,
        "batch_size": 8,
        "steps": 3,
        "eval_every": 3,
        "report": "off",
    }
    options |= {"out": tmp_path, "rho": 0.1, "report": "off"}
    found = run(Net, DATA, "momentum_sam", **options)
    last = found.table()
    for average, prefix in ((False, ""), (True, "ema_")):
        tested = load(tmp_path, model=Net, data=DATA, average=average).evaluate()
        np.testing.assert_allclose(tested["loss"], last[f"{prefix}loss"][-1], rtol=1e-6)
    assert last["loss"][-1] != last["ema_loss"][-1]


def test_a_quantized_run_predicts_with_the_values_of_its_codes(trained):
    one = trained[0].seed(1)
    seen = []
    coarse, report = quantize_run(
        one, "gptq", options={"bits": 3}, keep="head", progress=seen.append
    )
    assert seen == list(report.layers) == ["hidden/kernel"]
    codes = codes_by_path(report)
    steps = codes["hidden/kernel/qvalue"] - codes["hidden/kernel/zero_point"]
    values = steps * codes["hidden/kernel/scale"]
    np.testing.assert_allclose(coarse.params["hidden"]["kernel"], values.T, rtol=1e-6)
    np.testing.assert_array_equal(
        coarse.params["head"]["kernel"], one.params["head"]["kernel"]
    )
    params = jax.tree.map(np.asarray, one.params)
    hidden = X @ values.T + params["hidden"]["bias"]
    logits = np.maximum(hidden, 0) @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(coarse.apply(X), logits, rtol=1e-4, atol=1e-5)
    for arguments, words in (
        ({"method": "gtpq"}, "perhaps you meant 'gptq'"),
        ({"options": {"sweeps": 3}}, "unknown option of gptq 'sweeps'"),
        ({"match": "kernels"}, "matches no leaf"),
        ({"group_size": 3}, "hidden/kernel: group_size must divide"),
    ):
        with pytest.raises(InputError, match=words):
            quantize_run(one, **{"method": "gptq", **arguments})
    with pytest.raises(InputError, match="has 2 seeds"):
        quantize_run(trained[0], "gptq")
    few = {"bits": 2, "groups": 2, "steps": 0}
    coarse, report = quantize_run(one, "jlcm", options=few, examples=8)
    for layer in ("hidden", "head"):
        values = coarse.params[layer]["kernel"]
        assert np.unique(values).size <= 8 < np.unique(one.params[layer]["kernel"]).size
        assert codes_by_path(report)[f"{layer}/kernel/qvalue"].max() <= 3
    for arguments in ({"codec": "gptq"}, {"group_size": 4}):
        with pytest.raises(InputError, match="method=jlcm has codewords, no grid"):
            quantize_run(one, "jlcm", **arguments)


def test_the_command_to_quantize_prints_a_table_and_writes_the_codes(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(python_runs, "load", lambda *_, **__: trained[0])
    out = tmp_path / "codes.npz"
    words = ["run=own", "method=nearest_linear", "bits=8", "examples=8", f"out={out}"]
    assert quantize.main(words) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["bytes"] < found["bytes_before"] and "hidden/kernel" in printed
    assert np.load(out)["head/kernel/qvalue"].dtype == np.int8
    assert quantize.main(["run=own", "out=codes"]) == 2
    assert "ends in .npz" in capsys.readouterr().err


@pytest.mark.full
def test_a_trained_run_adapts_its_norms_at_test_time(tmp_path):
    images = RNG.normal(size=(24, 4, 4, 1)).astype(np.float32)
    data = ((images, np.arange(24) % 2), (images, np.arange(24) % 2))
    words = {"steps": 2, "batch_size": 8, "eval_every": 0, "out": tmp_path}
    options = {"model.channels": (4,), "model.norm": "ghost_batch_norm"}
    found = run("convnet", data, "sgd", **words, **options)
    for alpha in (0.0, 0.5):
        test = found.adapting(alpha=alpha)
        state = test.adapt(found.params, test.start(found.model_state), images)
        moved = found.with_weights(found.params, state)
        same = np.allclose(moved.apply(images), found.apply(images), rtol=1e-5)
        assert same == (alpha == 0)
    with pytest.raises(InputError, match="unknown norm of test time 'alpha'"):
        found.adapting("alpha")
    with pytest.raises(InputError, match=r"alpha=2.* is out of range"):
        found.adapting(alpha=2.0)
