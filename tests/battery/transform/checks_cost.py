"""What the catalog says that a method costs, measured."""

from __future__ import annotations

from battery.registry import check
from battery.transform import abstract
from battery.transform.deferred import tier
from battery.transform.subject import Subject


@check("transform")
def state_bytes(subject: Subject) -> None:
    """Bytes of state per float32 parameter, counts of steps aside."""
    measured = abstract.state_bytes(subject.tx)
    documented = subject.row.bytes_per_parameter("state")
    if subject.row.role == "wrapper":  # documented beyond its base
        documented += abstract.state_bytes(subject.base())
    assert abs(measured - documented) <= 0.01, f"{measured}, documented {documented}"


@check("transform", tier=tier)
def temp_bytes(subject: Subject) -> None:
    """Temporaries of one compiled, donated update, the gradients aside."""
    # A method that evaluates gradients itself holds one of them at a time.
    inside = 4.0 if subject.row.gradients > 1 else 0.0
    measured = subject.temp_bytes - inside
    documented = subject.row.bytes_per_parameter("temp")
    # The activations of four examples are 0.3 bytes a parameter.
    assert measured <= documented + 0.5, f"{measured:.2f}, documented {documented}"


@check("transform")
def gradients(subject: Subject) -> None:
    """Gradient evaluations a step, counted in the program of the train step."""
    wanted = subject.row.gradients
    planned, seen = abstract.gradients(subject)
    assert (planned, seen) == (wanted, wanted), (planned, seen, wanted)


@check("transform", lambda row: row.own, tier=tier)
def flops(subject: Subject) -> None:
    """Our own methods cost their gradient evaluations and little else."""
    ratio, wanted = subject.flops_ratio, subject.row.gradients
    assert abs(ratio - wanted) <= 0.02 * wanted, f"{ratio:.3f} times a plain step"
