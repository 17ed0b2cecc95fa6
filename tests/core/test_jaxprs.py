"""Walks over programs with loops, branches and calls in them."""

import jax
import jax.numpy as jnp

from jaxopt_lab.core import jaxprs


def nested(x):
    def body(c, _):
        c = jax.lax.cond(c > 0, jnp.sin, jnp.cos, c)
        return jax.jit(jnp.tanh)(c), None

    return jax.lax.scan(body, x, None, length=2)[0]


def test_every_equation_of_nested_programs_is_found_once():
    program = jax.make_jaxpr(nested)(1.0).jaxpr
    names = [eqn.primitive.name for eqn in jaxprs.equations(program)]
    for name in ("scan", "cond", "sin", "cos", "tanh"):
        assert names.count(name) == 1, name
    assert names.index("scan") < names.index("cond") < names.index("sin")


def test_only_what_is_nested_at_once_is_a_subprogram():
    (scan,) = jax.make_jaxpr(nested)(1.0).jaxpr.eqns
    (body,) = jaxprs.subprograms(scan)
    names = [eqn.primitive.name for eqn in body.eqns]
    assert "cond" in names and "sin" not in names
    (cond,) = [eqn for eqn in body.eqns if eqn.primitive.name == "cond"]
    assert len(list(jaxprs.subprograms(cond))) == 2
