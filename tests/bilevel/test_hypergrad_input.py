"""hypergrad and what it refuses: each error in one line that names the culprit."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lab.bilevel import InnerProblem, from_train_step, hypergrad
from jaxopt_lab.core.errors import InputError

DRAWN = {"key": jax.random.key(0), "sigma": 0.1, "pairs": 2}
OPTIONS = {
    "reverse": {},
    "forward": {},
    "one_step": {},
    "implicit_cg": {},
    "neumann": {"alpha": 0.5},
    "es": DRAWN,
    "pes": DRAWN,
}


def outer(theta, w):
    return jnp.sum(w**2)


def problem(**fields):
    """Descent towards theta["target"]; other leaves of theta are not used."""
    given = {
        "init": lambda theta: jnp.zeros(2),
        "step": lambda theta, w, t: w - 0.5 * (w - theta["target"]),
        "n": 3,
        "objective": lambda theta, w: 0.5 * jnp.sum((w - theta["target"]) ** 2),
        "window_loss": lambda theta, w, t: jnp.sum(w),
    }
    return InnerProblem(**{**given, **fields})


def call(mode, theta, inner=None, **options):
    given = None if mode == "pes" else options.pop("outer", outer)
    inner = problem() if inner is None else inner
    return hypergrad(given, inner, theta, mode=mode, **{**OPTIONS[mode], **options})


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize(
    "leaf", [jnp.int32(3), True, jax.random.key(0), jnp.complex64(1)], ids=str
)
def test_a_leaf_without_derivative_is_named(mode, leaf):
    theta = {"target": jnp.ones(2), "net": {"depth": leaf}}
    with pytest.raises(InputError, match="theta: net/depth must be of a real floa"):
        call(mode, theta)


@pytest.mark.full(plain=["forward", "one_step", "neumann"])
@pytest.mark.parametrize("mode", OPTIONS)
def test_an_unused_leaf_is_named_unless_allowed(mode):
    theta = {"target": jnp.ones(2), "idle": [jnp.ones(3), jnp.zeros(())]}
    with pytest.raises(InputError, match="not depend on theta: idle/0; theta: idle/1"):
        call(mode, theta)
    _, grad, _ = jax.jit(lambda th: call(mode, th, allow_unused=True))(theta)
    assert not any(jnp.any(x) for x in grad["idle"]) and jnp.any(grad["target"])


def test_unused_is_told_from_the_program_not_from_the_number():
    # A zero derivative is none of our business; dead code and metrics are.
    theta = {"target": jnp.ones(2), "rounded": jnp.ones(())}
    rounded = problem(step=lambda th, w, t: w - th["target"] * jnp.round(th["rounded"]))
    _, grad, _ = call("reverse", theta, rounded)
    assert float(grad["rounded"]) == 0.0

    def step(theta, c, t):
        w, note = c
        return w - theta["target"], note + theta["rounded"]

    noted = InnerProblem(
        init=lambda theta: (jnp.zeros(2), jnp.zeros(())),
        step=step,
        n=3,
        read=lambda c: c[0],
    )
    with pytest.raises(InputError, match="the loop does not depend on theta: rounded"):
        call("reverse", theta, noted)


@pytest.mark.full
def test_what_is_used_depends_on_the_mode():
    def init(theta):
        return theta["w0"]

    step = lambda th, w, t: w - th["lr"] * (w - th["target"])
    inner = problem(init=init, step=step)
    theta = {"w0": jnp.zeros(2), "lr": jnp.array(0.3), "target": jnp.ones(2)}
    call("reverse", theta, inner)
    with pytest.raises(
        InputError, match="inner.objective does not.*theta: lr; theta: w0"
    ):
        call("implicit_cg", theta, inner)
    with pytest.raises(InputError, match="the last step does not.*theta: w0:"):
        call("one_step", theta, inner)
    with pytest.raises(InputError, match=r"\(init is not run\) does not.*theta: w0:"):
        call("reverse", theta, inner, start=jnp.ones(2))
    # What the outer loss sees alone is used.
    direct = lambda theta, w: jnp.sum(w) + theta["lr"] + jnp.sum(theta["w0"])
    call("implicit_cg", theta, inner, outer=direct)


def test_a_bare_array_as_theta():
    inner = problem(step=lambda th, w, t: w + 1.0)
    with pytest.raises(InputError, match="does not depend on theta: the gradient"):
        call("reverse", jnp.ones(2), inner)
    with pytest.raises(InputError, match="theta must be of a real floating type"):
        call("reverse", jnp.int32(1), inner)
    with pytest.raises(InputError, match="theta has no leaves"):
        call("reverse", {}, inner)


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_no_steps(n):
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        problem(n=n)
    with pytest.raises(InputError, match="at least 1"):
        from_train_step(lambda th: None, lambda th: None, jnp.ones((0, 2)))


@pytest.mark.parametrize("mode", OPTIONS)
def test_a_step_that_changes_the_carry_is_told_by_paths(mode):
    inner = problem(
        init=lambda theta: {"w": jnp.zeros(2), "n": jnp.int32(0)},
        step=lambda th, c, t: {"w": c["w"][:1] + th["target"][:1], "m": c["n"]},
        read=lambda c: c["w"],
        window_loss=lambda theta, c, t: jnp.sum(c["w"]),
    )
    with pytest.raises(InputError) as error:
        call(mode, {"target": jnp.ones(2)}, inner)
    text = one_line(error)
    assert "n: missing" in text and "m: not expected" in text
    assert "w: expected float64[2], got float64[1]" in text


@pytest.mark.parametrize(
    ("mode", "field"),
    [
        ("implicit_cg", r"inner.objective \(or inner.optimality\)"),
        ("neumann", r"inner.objective \(or inner.optimality\)"),
        ("pes", "inner.window_loss"),
    ],
)
def test_a_field_that_the_mode_needs_is_named(mode, field):
    inner = problem(objective=None, window_loss=None)
    with pytest.raises(InputError, match=f"mode '{mode}' needs {field}"):
        call(mode, {"target": jnp.ones(2)}, inner)


@pytest.mark.parametrize("mode", ["reverse", "forward", "es"])
def test_no_outer_loss_and_no_window_loss(mode):
    inner = problem(window_loss=None)
    with pytest.raises(InputError, match=f"mode '{mode}' needs inner.window_loss"):
        call(mode, {"target": jnp.ones(2)}, inner, outer=None)


@pytest.mark.parametrize("mode", ["implicit_cg", "neumann", "one_step"])
def test_no_outer_loss_where_there_must_be_one(mode):
    with pytest.raises(InputError, match=f"mode '{mode}' needs outer; got None"):
        call(mode, {"target": jnp.ones(2)}, outer=None)


def test_options_and_modes():
    theta = {"target": jnp.ones(2)}
    with pytest.raises(InputError, match="unknown mode 'revers'; perhaps .*'reverse'"):
        hypergrad(outer, problem(), theta, mode="revers")
    with pytest.raises(InputError, match="mode 'pes' sums.* outer must be None"):
        hypergrad(outer, problem(), theta, mode="pes", **DRAWN)
    with pytest.raises(InputError, match="sigma is for mode 'es' and 'pes'; got mode="):
        call("reverse", theta, sigma=0.1)
    with pytest.raises(InputError, match="tol is for mode 'implicit_cg'; got mode="):
        call("neumann", theta, tol=0.1)
    for name in ("key", "sigma"):
        with pytest.raises(InputError, match=f"mode 'es' needs {name}="):
            call("es", theta, **{name: None})
    with pytest.raises(InputError, match="mode 'neumann' needs alpha="):
        call("neumann", theta, alpha=None)
    with pytest.raises(InputError, match="key must be a typed key"):
        call("es", theta, key=jax.random.PRNGKey(0))
    with pytest.raises(InputError, match="sigma must be more than 0; got 0"):
        call("es", theta, sigma=0)
    with pytest.raises(InputError, match="pairs must be a whole number of at least 1"):
        call("es", theta, pairs=0)
    with pytest.raises(InputError, match="terms must be a whole number of at least 1"):
        call("neumann", theta, terms=0)
    with pytest.raises(InputError, match="max_steps must be a whole number"):
        call("implicit_cg", theta, max_steps=0)
    with pytest.raises(InputError, match="unknown remat 'sqr'"):
        call("reverse", theta, remat="sqr")
    with pytest.raises(InputError, match="budget is for mode 'reverse'; got mode="):
        call("forward", theta, budget=100)
    with pytest.raises(InputError, match="budget goes with remat='auto'; got remat="):
        call("reverse", theta, budget=100)
    with pytest.raises(InputError, match="budget of 3 bytes is too small"):
        call("reverse", theta, remat="auto", budget=3)


def test_shapes_of_losses_starts_and_adjoints():
    theta = {"target": jnp.ones(2)}
    for mode in OPTIONS.keys() - {"pes"}:
        with pytest.raises(InputError, match=r"outer must return.*float64\[2\]"):
            call(mode, theta, outer=lambda theta, w: w)
        with pytest.raises(InputError, match=r"start does not fit: .*float64\[2\]"):
            call(mode, theta, start=jnp.ones(3))
    with pytest.raises(InputError, match="outer must return.*got tuple"):
        call("reverse", theta, outer=lambda theta, w: (w, w))
    with pytest.raises(InputError, match=r"inner.window_loss must return.*int32\[\]"):
        call("pes", theta, problem(window_loss=lambda theta, w, t: t))
    with pytest.raises(InputError, match=r"start \(info\['particles'\]\) does not fit"):
        call("pes", theta, start=jnp.ones(2))
    with pytest.raises(InputError, match="adjoint0 does not fit"):
        call("implicit_cg", theta, adjoint0=jnp.ones(3))


def test_weights_without_derivative():
    inner = problem(
        init=lambda theta: {"w": jnp.zeros(2), "n": jnp.int32(0)},
        step=lambda th, c, t: {"w": c["w"] + th["target"], "n": c["n"] + 1},
        objective=lambda theta, w: jnp.sum((w["w"] - theta["target"]) ** 2),
    )
    with pytest.raises(InputError, match="inner.read: n must be of a real floating"):
        call(
            "implicit_cg",
            {"target": jnp.ones(2)},
            inner,
            outer=lambda theta, w: jnp.sum(w["w"]),
        )


def test_no_train_step():
    build = lambda step: from_train_step(
        lambda theta: step, lambda theta: theta, 3, read=lambda w: w
    )
    with pytest.raises(InputError, match="make_step.theta. must return step.*NoneType"):
        hypergrad(lambda th, w: w, build(None), 1.0)
    with pytest.raises(InputError, match=r"must return \(state, metrics\); got a"):
        hypergrad(lambda th, w: w, build(lambda state, batch: state), 1.0)


@pytest.mark.full
def test_lineax_is_loaded_by_those_who_solve_alone():
    code = """
import sys
import jax.numpy as jnp
from jaxopt_lab.bilevel import InnerProblem, hypergrad, implicit_solution
inner = InnerProblem(
    lambda th: jnp.float32(0), lambda th, w, t: w - (w - th), 1,
    objective=lambda th, w: 0.5 * (w - th) ** 2,
)
outer = lambda th, w: w
hypergrad(outer, inner, 1.0)
hypergrad(outer, inner, 1.0, mode="neumann", alpha=1.0, terms=1)
print("lineax" in sys.modules)
sys.modules["lineax"] = None
try:
    hypergrad(outer, inner, 1.0, mode="implicit_cg")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded, message = done.stdout.splitlines()
    assert loaded == "False"
    assert "lineax" in message and 'pip install "jaxopt_lab[bilevel]"' in message
