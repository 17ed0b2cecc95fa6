"""Which methods of the catalog have no derivatives to check, and why."""

from jaxopt_lab import catalog

CODES = "its moments are rounded to codes, whose derivative is taken as zero"
NOT_DIFFERENTIABLE = {
    "lion": "the sign of a momentum is constant but for its jumps",
    "adamw8bit": CODES,
    "adamw4bit": CODES,
    "adamw_fp8": CODES,
    "adamw_linear": CODES,
    "quantize_updates": "a rounding is constant but for its jumps",
    "galore": "optax's basis is a singular vector, free in its sign and phase",
    "soap": "its basis is carried on by QR of a power step and taken as constant",
}


def test_every_excluded_method_has_its_reason():
    excluded = {
        row.name
        for row in catalog.of_kind("transform").values()
        if not row.differentiable
    }
    assert excluded == set(NOT_DIFFERENTIABLE)
