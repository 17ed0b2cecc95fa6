"""DisCoPatch in a run: networks of patches, scores of images, and what it refuses."""

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import load, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.commands import predict
from jaxopt_lab.lab.recipe_adapters import discopatch
from jaxopt_lab.recipes import patch_score, random_patches
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

NET = ["task=digits", "model=mlp", "model.depth=1", "mesh=data:1"]
NET += ["report=off", "log_every=1", "method=adam"]
SMALL = ["model.width=6", "batch_size=16"]
OPTIONS = {"size": 2, "latent": 3, "output": "linear", "views": 5}
KEY = jax.random.key(3)


def linear(shape, outputs):
    """A linear network that counts its calls, so that a passed state is seen."""
    inputs = int(np.prod(shape))

    def init(key):
        return jax.random.normal(key, (inputs, outputs)), jnp.zeros(())

    def apply(params, state, x, *, train, key=None):
        return x.reshape(len(x), -1) @ params, state + 1

    return Functional(init, apply)


def test_the_networks_are_those_of_patches():
    vae, judge = discopatch.networks(linear, (4, 6, 1), OPTIONS)
    params, states = vae.init(KEY)
    assert params["encoder"].shape == (4, 6) and params["decoder"].shape == (3, 4)
    x, drawn, prior = (
        jax.random.normal(jax.random.fold_in(KEY, i), shape)
        for i, shape in enumerate([(5, 2, 2, 1), (5, 3), (5, 3)])
    )
    out, kept = vae.apply(params, states, (x, drawn, prior), train=True)
    mean, log_variance = np.split(x.reshape(5, 4) @ params["encoder"], 2, axis=1)
    z = mean + np.exp(log_variance / 2) * drawn
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    close(out.mean, mean)
    close(out.log_variance, log_variance)
    close(out.rebuilt.reshape(5, 4), z @ params["decoder"])
    close(out.generated.reshape(5, 4), prior @ params["decoder"])
    assert (kept["encoder"], kept["decoder"]) == (1, 2)
    weights, _ = judge.init(KEY)
    logits, _ = judge.apply(weights, jnp.zeros(()), x, train=True)
    both = x.reshape(5, 4) @ weights
    close(logits, both[:, 1] - both[:, 0])


def test_the_score_of_an_image_is_that_of_its_patches():
    network = discopatch.network(linear, (4, 6, 1), 10, OPTIONS)
    params, states = network.init(KEY)
    assert sorted(params) == ["discriminator", "vae"]
    x = jax.random.normal(KEY, (3, 4, 6, 1))
    scores, kept = network.apply(params, states, x, train=False)
    assert kept is states
    patches = random_patches(jax.random.key(0), x, patches=5, size=2)
    both = patches.reshape(15, 4) @ params["discriminator"]
    wanted = patch_score(both[:, 1] - both[:, 0], per_image=5)
    np.testing.assert_allclose(scores, wanted, rtol=1e-5)


def test_statistics_are_those_of_one_image():
    def make(shape, outputs):
        del shape, outputs

        def apply(params, state, x, *, train, key=None):
            assert train
            h = x.reshape(len(x), -1)
            apart = (h - h.mean(0, keepdims=True)).sum(1)
            return jnp.stack([jnp.zeros(len(x)), apart], axis=1), state

        return Functional(lambda key: ((), ()), apply)

    network = discopatch.network(make, (4, 4, 1), 10, {**OPTIONS, "latent": 0})
    params, states = network.init(KEY)
    x = jax.random.normal(KEY, (3, 4, 4, 1))
    whole = network.apply(params, states, x, train=False)[0]
    moved = network.apply(params, states, x.at[1:].add(9.0), train=False)[0]
    np.testing.assert_allclose(moved, whole, rtol=1e-4)


@pytest.mark.parametrize(
    "words, said",
    [
        (["recipe.size=0"], "size=0 is out of range"),
        (["recipe.views=0"], "views=0 is out of range"),
        (["recipe.kl=-1"], "kl=-1.0 is out of range"),
        (["recipe.corruption=none"], "recipe.corruption"),
        (["curvature=top"], "curvature=top is of a classifier's loss"),
        (["loss=emo"], "loss=emo would do nothing"),
    ],
)
def test_what_does_not_go_with_it_is_refused(words, said):
    with pytest.raises(InputError, match=said) as refused:
        parse([*NET, "recipe=discopatch", *words])
    assert "\n" not in str(refused.value)


def test_patches_are_parts_of_images():
    with pytest.raises(InputError, match=r"recipe.size=9 is of patches of images"):
        runs.assemble(parse([*NET, "recipe=discopatch", "recipe.size=9"]))


def trained(folder, *words) -> Any:
    recipe = ["recipe=discopatch", "recipe.size=3", "recipe.latent=4"]
    return runs.train(parse([*NET, *recipe, *words, f"out={folder}"]))


@pytest.mark.full
def test_a_pause_changes_nothing(tmp_path, capsys):
    words = [*SMALL, "steps=4", "save_every=2", "eval_every=2", "seeds=2", "ema=0.5"]

    def lines():
        records = read_metrics(tmp_path / "metrics.jsonl")
        return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]

    whole = trained(tmp_path, *words).fitted.state
    records = lines()
    shutil.rmtree(tmp_path / "checkpoints" / "4")
    again = trained(tmp_path, *words)
    assert lines() == records
    jax.tree.map(np.testing.assert_array_equal, again.fitted.state[:4], whole[:4])
    assert "auroc" in again.summary["final_scores"]
    run = load(tmp_path)
    np.testing.assert_allclose(run.evaluate()["auroc"], records[-1]["auroc"], rtol=1e-5)
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)
    scores = np.asarray(run.seed(1).apply(images))
    assert scores.shape == (3,) and (scores > 0).all() and (scores < 1).all()
    np.save(tmp_path / "x.npy", images)
    capsys.readouterr()
    given = [f"run={tmp_path}", f"input={tmp_path / 'x.npy'}"]
    assert predict.main(given) == 2
    said = capsys.readouterr().err
    assert "apply(images)" in said and said.count("\n") == 1
