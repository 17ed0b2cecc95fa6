"""Layers, losses and data transforms of the catalog as options of a training run."""

import json
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import DataTransform, Layer, Loss, Neutral, Recipe
from jaxopt_lab.core import jaxprs
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import data, models, parts, runs
from jaxopt_lab.lab.command_line import command, parse, program
from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.lab.models import norms
from jaxopt_lab.losses import cross_entropy, with_soft_labels
from jaxopt_lab.training import from_nnx

TEXT = ["task=text", "model.width=8", "model.heads=2"]


def built(words, shape, classes=3):
    configuration = parse(words)
    return configuration.rows.model.build(
        configuration.model, shape, classes, configuration.parts.get("norm")
    )(nnx.Rngs(0))


@pytest.mark.parametrize(
    "words, said",
    [
        (
            ["model.norm=layernorm_scalin"],
            "unknown norm 'layernorm_scalin'; perhaps you meant 'layernorm_scaling'",
        ),
        (
            [*TEXT, "model.norm=ghost_batch_norm"],
            "norm=ghost_batch_norm does not fit model transformer: the layer has a "
            "state (running) and couples the examples of a batch; accepted: layer, "
            "layernorm_scaling",
        ),
        ([*TEXT, "model.norm=none"], "unknown norm 'none'"),
        (["model.norm=ghost_batch_norm", "norm.ghost_size=0"], "ghost_size=0"),
        (["model.norm=layernorm_scaling", "norm.index=2"], "unknown option"),
        (["norm.ghost_size=8"], "unknown option 'norm.ghost_size'"),
        (["loss=cross_entrop"], "unknown loss 'cross_entrop'; perhaps you meant"),
        (["loss=sam"], "unknown loss 'sam'"),
        (
            ["loss=shade"],
            "loss=shade cannot be used by a training run: the loss is a regularizer, "
            "of activations or parameters and has a state, which the step does not "
            "carry; "
            "accepted: cross_entropy",
        ),
        (["loss=emo", "loss.share=2"], "share=2.0 is out of range"),
        (["loss.label_smoothing=0.1"], "unknown option 'loss.label_smoothing'"),
        (["recipe=distilation"], "unknown recipe 'distilation'; perhaps you meant"),
        (["recipe=distillation"], "recipe.teacher= is missing"),
        (["recipe=distillation", "recipe.teacher=/x"], "=/x holds no run"),
        (["recipe=distillation", "recipe.weight=2"], "weight=2.0 is out of range"),
        (["recipe=distillation", "loss=emo"], "loss=emo would do nothing without"),
        (["recipe.weight=0.5"], "unknown option 'recipe.weight'"),
        (["augment=mixip"], "unknown augment 'mixip'; perhaps you meant 'mixup'"),
        (["augment=mixup,mixup"], "has 2 parts of the catalog"),
        (["augment=mixup", "augment.alpha=-1"], "alpha=-1.0 is out of range"),
        (["augment=crop", "augment.alpha=1"], "unknown option 'augment.alpha'"),
        (["augment=erase,mixup", "augment.alpha=1"], "unknown option 'augment.alpha'"),
    ],
)
def test_what_does_not_fit_gets_one_line(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1 and error.startswith("error: ")


def test_every_part_is_accepted_or_refused_with_a_reason():
    for place, kind in (("loss", "loss"), ("augment", "data transform")):
        for name in catalog.of_kind(kind):
            if name in parts.accepted(place):
                assert parse([f"{place}={name}"]).rows.parts[place].name == name
            else:
                with pytest.raises(InputError, match="the (loss|data transform) "):
                    parse([f"{place}={name}"])
    # What fits depends on the kind of the model: one of each is asked for every layer.
    kinds = {}
    for model in (m for m in models.MODELS.values() if m.norms):
        first = kinds.setdefault((model.kind, model.causal), model)
        rows = list(catalog.of_kind("layer"))
        taken = [name for name in rows if name in norms.accepted(model)]
        if model is not first:
            assert taken == [n for n in rows if n in norms.accepted(first)]
            rows = [taken[0], next(name for name in rows if name not in taken)]
        for name in rows:
            words = [f"task={'text' if model.kind == 'text' else 'digits'}"]
            words += [f"model={model.name}", f"model.norm={name}"]
            if name in taken:
                assert parse(words).rows.parts["norm"].name == name
            else:
                with pytest.raises(InputError, match="the layer "):
                    parse(words)


def test_parts_are_judged_by_their_rows():
    """Rows that the lab has never heard of."""
    common = {"summary": "", "reduces_to": Neutral({}, "cross_entropy")}
    layer = Layer(
        name="x",
        build="math:sqrt",
        module="",
        replaces=("activation",),
        **common,
    )
    for model in (models.get("convnet"), models.get("transformer")):
        assert "replaces activation" in norms.unfit(layer, model)

    def takes_teacher(logits, labels, *, teacher): ...
    def regresses(outputs, targets): ...
    def plain(logits, labels, *, where=None): ...
    def paired(*, other): ...

    def reason(build, **fields):
        return parts._unfit_loss(Loss(name="x", build=build, **fields, **common))

    def two_nets(generator, critic, tx, *, weight=1.0): ...
    def with_buffer(student, tx, *, buffer): ...

    def fits(build, roles, frozen=()):
        fields = {"roles": roles, "gradients": {}, "frozen": frozen}
        return parts._unfit_recipe(Recipe(name="x", build=build, **fields, **common))

    assert fits(two_nets, ("generator", "critic")) == (
        "trains 2 models, generator and critic"
    )
    assert fits(two_nets, ("generator", "critic"), ("critic",)) == ""
    assert fits(with_buffer, ("student",)) == "needs buffer"
    assert reason(plain) == ""
    assert reason(takes_teacher) == "needs teacher"
    assert "takes outputs and targets" in reason(regresses)
    assert "couples" in reason(plain, couples=True)
    transform = DataTransform(name="x", build=paired, **common)
    assert parts._unfit_transform(transform) == "needs other"


def test_without_parts_a_run_has_the_rows_of_before():
    configuration = parse([])
    assert {k: r.name for k, r in configuration.rows.parts.items()} == {
        "loss": "cross_entropy"
    }
    assert configuration.parts == {"loss": {}}
    assert configuration.model.norm == "none"


def test_the_resuming_command_repeats_the_parts():
    words = "model.norm=ghost_batch_norm norm.ghost_size=16 loss=emo loss.share=0.25 "
    words += "augment=flip,mixup augment.alpha=0.5 out=x"
    configuration = parse(words.split())
    again = command(configuration, "x").removeprefix(f"{program('train')} ")
    assert parse(shlex.split(again)) == configuration
    assert configuration.flat()["augment.alpha"] == 0.5


def test_help_shows_what_is_accepted(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["augment=mixup", "model.norm=ghost_batch_norm", "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for shown in (
        "losses (loss=): cross_entropy, margin_nca, emo",
        "augmentations (augment=): none, crop, flip, crop_flip, mixup",
        "norms of the convnet (model.norm=): none, layernorm_scaling, ",
        "norms of the transformer (model.norm=): layer, layernorm_scaling",
        "--augment.alpha FLOAT",
        "--norm.ghost-size INT",
    ):
        assert shown.replace("-size", "_size") in text or shown in text, shown


@pytest.mark.full
def test_norms_get_the_depth_of_their_block():
    words = [*TEXT, "model.depth=3", "model.context=4"]
    words += ["model.norm=layernorm_scaling", "norm.statistics=rms"]
    model = built(words, (4,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 8)), jnp.float32)
    plain = x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    for index, block in enumerate(model.blocks, start=1):
        for norm in (block.attention_norm, block.mlp_norm):
            np.testing.assert_allclose(norm(x), plain / index**0.5, rtol=1e-5)
    np.testing.assert_allclose(model.norm(x), plain, rtol=1e-5)


@pytest.mark.full
def test_a_norm_that_knows_the_depth_leaves_the_initial_weights_unscaled():
    words = [*TEXT, "model.depth=8", "model.context=4"]
    plain = built(words, (4,)).blocks[0].mlp_out.kernel.get_value()
    scaled = built([*words, "model.norm=layernorm_scaling"], (4,))
    ratio = jnp.std(scaled.blocks[0].mlp_out.kernel.get_value()) / jnp.std(plain)
    assert 3 < float(ratio) < 5  # sqrt(2 * 8) = 4


def test_the_convnet_runs_with_every_norm_and_keeps_its_state():
    model = models.get("convnet")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4, 4, 1)), jnp.float32)
    for name in norms.accepted(model):
        words = ["model.channels=2,3", "model.dense=4", f"model.norm={name}"]
        if name != "none" and "groups" in catalog.get(name, "layer").options:
            words.append("norm.groups=1")
        config = parse(words)
        build = model.build(config.model, (4, 4, 1), 3, config.parts.get("norm"))
        functional = from_nnx(build)
        params, state = functional.init(jax.random.key(0))
        assert ("norms" in params) == (name != "none")
        shapes = jax.eval_shape(
            lambda p, s, f=functional: f.apply(p, s, x, train=True), params, state
        )
        assert shapes[0].shape == (4, 3)
        part = config.rows.parts.get("norm")
        has_state = part is not None and part.state != "none"
        assert bool(jax.tree.leaves(state)) == has_state


def test_probabilities_have_the_expected_loss():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    q = jnp.asarray(rng.dirichlet(np.ones(4), size=5), jnp.float32)
    loss = with_soft_labels(cross_entropy)
    np.testing.assert_allclose(
        loss(logits, q), optax.softmax_cross_entropy(logits, q), rtol=1e-5
    )
    labels = jnp.array([0, 1, 2, 3, 3])
    for smoothing in (0.0, 0.1):
        np.testing.assert_allclose(
            loss(logits, jax.nn.one_hot(labels, 4), smoothing),
            cross_entropy(logits, labels, smoothing),
            rtol=1e-6,
        )


@pytest.mark.full
def test_classes_of_probability_zero_count_nothing():
    logits = jnp.array([[0.0, -jnp.inf]])
    q = jnp.array([[1.0, 0.0]])
    loss = with_soft_labels(cross_entropy)
    assert float(loss(logits, q)[0]) == 0
    gradient = jax.grad(lambda z: loss(z, q).sum())(jnp.array([[0.0, -1e30]]))
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_labels_of_a_wrong_type_are_still_refused():
    with pytest.raises(InputError, match="labels must be integers"):
        with_soft_labels(cross_entropy)(jnp.zeros((2, 3)), jnp.zeros(2))


def test_a_loss_gets_the_rows_of_the_output_layer():
    configuration = parse(["loss=emo", "loss.share=0.25"])
    loss = parts.label_loss(configuration.chosen("loss"), configuration.run)
    params = {"head": {"kernel": jnp.eye(3)[:2]}}
    logits, labels = jnp.zeros((2, 3)), jnp.array([0, 1])
    direct = catalog.get("emo").load()(
        logits, labels, embedding=jnp.eye(3)[:2].T, share=0.25
    )
    assert loss(params, logits, labels).tolist() == direct.tolist()


def test_label_smoothing_goes_to_losses_that_have_it():
    run = parse(["label_smoothing=0.2"])
    loss = parts.label_loss(run.chosen("loss"), run.run)
    logits, labels = jnp.array([[1.0, 0.0]]), jnp.array([0])
    assert float(loss({}, logits, labels)[0]) == float(
        cross_entropy(logits, labels, 0.2)[0]
    )
    run = parse(["label_smoothing=0.2", "loss=emo"])
    with pytest.raises(InputError, match="no option of loss=emo; .*: cross_entropy"):
        parts.label_loss(run.chosen("loss"), run.run)


def test_transforms_of_the_catalog_are_for_sets_in_memory():
    configuration = parse(["task=tfds:x", "augment=mixup", "image_size=8"])
    with pytest.raises(InputError, match="augment=mixup is for sets in memory"):
        data.load(
            configuration.run,
            configuration.rows.task,
            8,
            configuration.chosen("augment"),
        )


@pytest.mark.full
def test_a_transform_gets_the_number_of_classes():
    configuration = parse(["augment=mixup", "augment.alpha=1"])
    transform = parts.data_transform(configuration.chosen("augment"), 5)
    batch = {"image": jnp.ones((4, 2, 2, 1)), "label": jnp.arange(4)}
    assert transform(jax.random.key(0), batch)["label"].shape == (4, 5)


@pytest.mark.full
def test_a_recipe_trains_beside_its_teacher(tmp_path):
    small = ["model=mlp", "batch_size=16", "log_every=1", "eval_every=0"]
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    plain = [*small, "method=sgd", "model.width=5", "steps=1", "seeds=2"]
    runs.train(parse([*plain, f"out={teacher}"]))
    words = [*small, "method=sam", "base=sgd", "model.width=3", "steps=2"]
    words += ["recipe=distillation", f"recipe.teacher={teacher}", "recipe.weight=0.5"]
    configuration = parse([*words, f"out={student}"])
    assert configuration.flat()["recipe.weight"] == 0.5
    again = command(configuration, str(student)).removeprefix(f"{program('train')} ")
    assert parse(shlex.split(again)) == configuration
    before = {p: p.read_bytes() for p in teacher.rglob("*") if p.is_file()}
    outcome = runs.train(configuration)
    assert {p: p.read_bytes() for p in teacher.rglob("*") if p.is_file()} == before
    lines = (student / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    trained = [r for r in records if r["kind"] == "train"]
    assert len(trained) == 2 and all(0 <= r["agreement"] <= 1 for r in trained)
    assert outcome.summary["complete"] and "accuracy" in records[-1]
    # The teacher is not counted, and it is what its own run saved.
    sizes = {64 * 3 + 3 + 3 * 3 + 3 + 3 * 10 + 10}
    assert {outcome.summary["parameters"]} == sizes
    assert runs.train(configuration).fitted is None


def test_several_data_transforms_run_in_their_order():
    words = "model=mlp augment=crop,erase,mixup erase.probability=1 mixup.alpha=0 out=x"
    configuration = parse([*words.split(), "erase.value=7"])
    assert configuration.flat()["erase.value"] == 7.0
    chosen = configuration.augmentations
    assert [c.row.name for c in chosen] == ["erase", "mixup"]
    assert chosen[0].options["probability"] == 1 and chosen[1].options["alpha"] == 0
    again = command(configuration, "x").removeprefix(f"{program('train')} ")
    assert parse(shlex.split(again)) == configuration
    task = configuration.rows.task
    batch = data.load(configuration.run, task, 0, *chosen).train(None).next()
    # Erased after the crop, whose border is 0; mixup of strength 0 changes nothing.
    assert float(batch["image"].max()) >= 7 and batch["label"].shape == (64,)


@pytest.mark.full
def test_three_steps_with_a_part_in_every_place(tmp_path):
    words = ["model.channels=2,2", "model.dense=4", "batch_size=16", "steps=3"]
    words += ["model.norm=ghost_batch_norm", "norm.ghost_size=8", "loss=emo"]
    words += ["augment=flip,mixup", "augment.alpha=0.4", "log_every=1", "eval_every=0"]
    outcome = runs.train(parse(words), tmp_path / "run")
    assert outcome.summary["steps"] == 3
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"]
    assert len(losses) == 3 and np.all(np.isfinite(losses))


# The larger one is traced three times as long, for one more kind of block.
@pytest.mark.full(plain=["wide_resnet"])
@pytest.mark.parametrize("name", ["resnet20", "wide_resnet"])
def test_residual_networks_take_the_layers_of_the_catalog(name):
    model = models.get(name)
    x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    size = ["model.width=4"] if name == "resnet20" else ["model.depth=10"]
    found = {}
    for norm in ("batch", "ghost_batch_norm", "evonorm_s0"):
        words = [f"model={name}", f"model.norm={norm}", *size]
        config = parse([*words, "norm.groups=1"] if norm == "evonorm_s0" else words)
        build = model.build(config.model, (8, 8, 1), 3, config.parts.get("norm"))
        functional = from_nnx(build)
        params, state = jax.eval_shape(functional.init, jax.random.key(0))
        run = lambda p, s, x, f=functional: f.apply(p, s, x, train=True)
        called = jaxprs.equations(jax.make_jaxpr(run)(params, state, x).jaxpr)
        rectified = sum(e.primitive.name == "custom_jvp_call" for e in called)
        found[norm] = params, state, rectified
    assert jax.tree.structure(found["batch"][:2]) == jax.tree.structure(
        found["ghost_batch_norm"][:2]
    )
    # EvoNorm is its own activation; only the sums of resnet blocks are rectified.
    assert found["evonorm_s0"][2] == (9 if name == "resnet20" else 0)
    assert found["batch"][2] == found["ghost_batch_norm"][2] > 9 * (name == "resnet20")
    assert not jax.tree.leaves(found["evonorm_s0"][1])
    with pytest.raises(InputError, match="norm=mesa_layer_norm does not fit"):
        parse([f"model={name}", "model.norm=mesa_layer_norm"])


def test_losses_of_other_outputs_than_logits_are_not_offered():
    offered = parts.accepted("loss")
    assert "ordinal_cross_entropy" in offered
    for name in ("ensemble_cross_entropy", "mixup_ranking", "mdcs", "guidance"):
        assert name not in offered
