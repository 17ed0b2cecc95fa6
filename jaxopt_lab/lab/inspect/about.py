"""The run behind a report: its options, results and circumstances."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.lab.inspect.trained_network import TrainedNetwork


def rows(network: TrainedNetwork) -> list[tuple[str, str]]:
    """The first table of a report.

    Args:
      network: the network.

    Returns:
      Pairs of a name and a text.
    """
    configuration, run = network.configuration, network.configuration.run
    chosen: dict[str, Any] = {
        "method": run.method,
        **configuration.method,
        **({"base": run.base} if configuration.rows.base is not None else {}),
        **{f"base {k}": v for k, v in configuration.base.items()},
    }
    if configuration.decays:
        own = configuration.weight_decay
        if own is not None:
            chosen["weight decay"] = own
        chosen["type of the decay"] = run.weight_decay_type
    if run.clip_norm:
        chosen["gradients clipped at"] = run.clip_norm
    chosen |= {
        "task": run.task,
        "model": run.model,
        "batch size": run.batch_size,
        "checkpoint": f"step {network.step} of {run.steps}",
        "seed": f"{network.seed}, of {run.seeds} from {run.seed} on",
        **_results(network),
    }
    about = network.about
    if about:
        versions = about.get("versions", {})
        chosen |= {
            "versions": ", ".join(f"{k} {v}" for k, v in versions.items()),
            "commit": about.get("commit") or "installed package",
            "host": f"{about.get('host')}, {about.get('mesh')}",
            "command": about.get("command"),
        }
    return [(name, str(value)) for name, value in chosen.items()]


def largest_rate(network: TrainedNetwork) -> float | None:
    """The peak of the learning rate; ``None`` for an optimizer without one."""
    configuration = network.configuration
    options = configuration.method | configuration.base
    return options.get("learning_rate")


def _results(network: TrainedNetwork) -> dict[str, str]:
    tests = [r for r in network.records if r["kind"] == "test" and "accuracy" in r]
    here = [r for r in tests if r["step"] == network.step]
    found = {}
    for when, record in (("here", here[-1:]), ("at the end", tests[-1:])):
        for r in record:
            found[f"test accuracy {when}"] = (
                f"{100 * r['accuracy']:.2f} %, loss {r['loss']:.4f} nats (step "
                f"{r['step']})"
            )
    validated = bool(network.configuration.run.val)
    score = "val_accuracy" if validated else "accuracy"
    if tests:
        best = max(tests, key=lambda r: r.get(score, float("-inf")))
        where = "validation" if validated else "test"
        found[f"best step, by the {where} accuracy"] = (
            f"{best['step']}, test accuracy {100 * best['accuracy']:.2f} %"
        )
    return found
