"""Several seeds over several devices are the runs of those seeds."""

import chex
import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line, placement, runs
from jaxopt_lab.lab.placement import shared_work
from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned
from jaxopt_lab.lab.plan.wire import sent
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.runtime import read_metrics

STEPS = 3
TINY = [
    "model.dtype=float64",
    "task=digits",
    "model=mlp",
    "model.width=16",
    "batch_size=16",
]


def parsed(*words):
    return command_line.parse(
        ["progress=off", "log_every=1", "eval_every=0", "save_every=0", *words]
    )


def assembled(*words):
    return runs.assemble(parsed(*TINY, *words))


def after_steps(program):
    step, state = jax.jit(program.step), program.state
    for _ in range(STEPS):
        state, metrics = step(state, program.batches.next())
    return state, metrics, program.evaluate(state)


def without_keys(tree):
    return [
        np.asarray(jax.random.key_data(x) if "key" in str(x.dtype) else x)
        for x in jax.tree.leaves(tree)
    ]


METHODS = {
    "sam": ["method=sam"],
    "msam": ["method=msam", "num_shards=4"],
    "adamw8bit": ["method=adamw8bit"],
    "adam_cg": ["method=adam_cg"],
    "friendly_sam": ["method=friendly_sam"],
}


@pytest.fixture(scope="module")
def on_one_device():
    return {
        name: after_steps(assembled("seeds=4", "mesh=data:1", *words))
        for name, words in METHODS.items()
    }


@pytest.mark.full
@pytest.mark.parametrize(
    "method, mesh",
    [(method, "seeds:2,data:2") for method in METHODS]
    + [("sam", "seeds:4"), ("adamw8bit", "seeds:4")]
    + [("sam", "data:4"), ("sam", "data:2,seeds:4")],
)
def test_equal_to_one_device(method, mesh, on_one_device):
    program = assembled("seeds=4", f"mesh={mesh}", *METHODS[method])
    found = after_steps(program)
    for got, wanted in zip(
        without_keys(found), without_keys(on_one_device[method]), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)
    kernel = program.state.params["head"]["kernel"]
    groups = dict(part.split(":") for part in mesh.split(",")).get("seeds", 1)
    assert kernel.sharding.shard_shape(kernel.shape)[0] == 4 // int(groups)


@pytest.mark.full
def test_each_seed_is_the_run_of_that_seed_alone():
    many = after_steps(assembled("seeds=4", "seed=3", "mesh=seeds:4"))
    alone = after_steps(assembled("seed=5", "mesh=data:1"))
    for got, wanted in zip(without_keys(many), without_keys(alone), strict=True):
        np.testing.assert_allclose(
            np.broadcast_to(got, (4, *wanted.shape))[2], wanted, rtol=1e-9, atol=1e-11
        )


@pytest.fixture(autouse=True, scope="module")
def _compiled_quickly():
    """In the place of the lab's: with little effort the compiler makes no numbers of a
    convolution's gradient here."""


@pytest.mark.full
@pytest.mark.parametrize(
    "words",
    [
        ["model=convnet"],
        ["mesh=seeds:2,data:2,model:2"],
        ["zero=true", "method=adamw"],
    ],
    ids=" ".join,
)
def test_other_programs_too(words):
    """Unrolled convolutions; cut parameters; a divided optimizer state."""
    more = ["seeds=2", "batch_size=16", *words]
    spread = more if any("mesh" in w for w in words) else [*more, "mesh=seeds:2,data:2"]
    whole = [w for w in more if "mesh" not in w and "zero" not in w]
    base = ["task=digits", "model.dtype=float64"]
    base += [] if "model=convnet" in words else ["model=mlp"]
    found = after_steps(runs.assemble(parsed(*base, *spread)))
    wanted = after_steps(runs.assemble(parsed(*base, *whole, "mesh=data:1")))
    for a, b in zip(without_keys(found), without_keys(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.full
@pytest.mark.parametrize("mode", ["unroll", "vmap", "scan"])
def test_seeds_send_nothing_to_each_other(mode):
    def collectives(mesh):
        program = assembled("seeds=4", f"mesh={mesh}", f"seed_mode={mode}")
        lowered = jax.jit(program.step).lower(program.state, program.batches.next())
        axes = {"seeds": 4, "data": 1} if mesh == "seeds:4" else {"seeds": 2, "data": 2}
        partitioned = compile_partitioned(lowered)
        assert partitioned.exact
        return sent(read_module(partitioned.text), axes)

    assert collectives("seeds:4") == []
    assert {one.axes for one in collectives("seeds:2,data:2")} == {("data",)}


@pytest.mark.full
def test_a_run_moves_between_meshes(tmp_path):
    words = [
        "task=digits",
        "model=mlp",
        "model.width=16",
        "batch_size=16",
        "seeds=4",
        "schedule=constant",
        "method=adamw8bit",
    ]
    for steps, mesh in ((2, "data:1"), (4, "seeds:4"), (6, "seeds:2,data:4")):
        configuration = parsed(
            *words, f"steps={steps}", f"mesh={mesh}", "existing=continue"
        )
        outcome = runs.train(configuration, tmp_path / "run")
    whole = runs.train(parsed(*words, "steps=6", "mesh=data:1"), tmp_path / "whole")
    chex.assert_trees_all_close(
        losses(tmp_path / "run"), losses(tmp_path / "whole"), rtol=2e-5
    )
    assert outcome.summary["parameters"] == whole.summary["parameters"]


def losses(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [r["loss"] for r in records if r["kind"] == "train"]


@pytest.mark.parametrize(
    "words, said",
    [
        (["seeds=3", "mesh=seeds:2"], "seeds=3 cannot be cut into 2 equal parts"),
        (["mesh=seeds:2"], "seeds=1 cannot be cut into 2 equal parts"),
        (
            ["seeds=2", "mesh=seeds:2,data:2", "style=pmap"],
            "style=pmap trains one seed",
        ),
        (["seeds=2", "mesh=data:4", "style=shard_map"], "style=shard_map trains one"),
        (["seeds=2", "mesh=seeds:2,data:4", "batch_size=30"], "cannot be cut into 4"),
    ],
)
def test_what_does_not_fit(words, said):
    with pytest.raises(InputError, match=said):
        placement.chosen(command_line.parse(words))


@pytest.mark.parametrize(
    "options, devices, mesh",
    [
        ({}, 8, "data:8"),
        ({"batch_size": 60}, 8, "data:1"),
        ({"seeds": 8}, 8, "seeds:8,data:1"),
        ({"seeds": 3}, 8, "data:8"),
        ({"seeds": 3, "style": "pmap"}, 8, "data:1"),
        ({"seeds": 4, "micro_batches": 2, "batch_size": 66}, 8, "seeds:4,data:1"),
    ],
)
def test_what_all_devices_are_used_for(options, devices, mesh):
    assert shared_work(RunOptions(**options), devices) == mesh
