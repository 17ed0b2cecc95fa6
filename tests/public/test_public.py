"""What a user of the installed package has: its names, its README, its steps."""

import importlib.metadata
import importlib.util
import os
import re

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxopt_lab

NAMES = sorted(jaxopt_lab.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there(name):
    assert getattr(jaxopt_lab, name) is not None


def test_the_names_hold_what_the_readme_promises():
    assert {"sam", "adamw_cm", "microadam", "ldadam", "hypergrad"} <= set(NAMES)


def test_the_package_is_typed():
    files = importlib.metadata.files("jaxopt_lab") or ()
    if any(str(file).endswith("jaxopt_lab/__init__.py") for file in files):
        names = {str(file) for file in files}
        assert {"jaxopt_lab/py.typed", "jaxopt_lab/__init__.pyi"} <= names
        # Only the package is in the wheel, beside what describes it.
        script = "bin/jaxopt-lab"
        rest = [n for n in names if not n.endswith((script, f"{script}.exe"))]
        assert all(n.startswith(("jaxopt_lab/", "jaxopt_lab-")) for n in rest), rest


def test_the_readme_runs():
    text = importlib.metadata.metadata("jaxopt_lab").get_payload()
    blocks = re.findall(r"```python\n(.*?)```", str(text), re.DOTALL)
    names: dict = {}
    exec(blocks[0], names)
    assert jnp.all(names["w"] > 0)


def _loss(w, batch):
    return jnp.mean((batch["x"] @ w - batch["y"]) ** 2)


@pytest.mark.parametrize(
    "tx",
    [
        optax.chain(jaxopt_lab.sam(0.01), optax.sgd(0.1)),
        jaxopt_lab.adamw_cm(0.05, capacity=3),
        jaxopt_lab.adamw8bit(0.05),
        jaxopt_lab.differentiable(optax.adam(0.05)),
    ],
    ids=["sam", "adamw_cm", "adamw8bit", "differentiable"],
)
def test_a_few_steps_go_down(tx):
    tx = optax.with_extra_args_support(tx)
    batch = {"x": jnp.eye(4), "y": jnp.arange(4.0)}

    @jax.jit
    def step(w, state):
        grad_fn = jaxopt_lab.batch_grad(_loss, batch)
        updates, state = tx.update(grad_fn(w), state, w, grad_fn=grad_fn)
        return optax.apply_updates(w, updates), state

    w = jnp.zeros(4)
    before, state = _loss(w, batch), tx.init(w)
    for _ in range(3):
        w, state = step(w, state)
    assert _loss(w, batch) < before


def test_the_wheel_holds_no_experiments():
    if not os.environ.get("JAXOPT_LAB_INSTALLED"):
        pytest.skip("for an installed package, as in .ci/run")
    assert importlib.util.find_spec("experiments") is None
