"""``report.html``, written at the end of a run."""

from __future__ import annotations

import sys
from pathlib import Path

from jaxopt_lab.lab import html_page
from jaxopt_lab.lab.runs import Outcome
from jaxopt_lab.lab.trained_run import Run


def write(run: Run) -> Path | None:
    """Write the page of a run into its folder.

    A page is no result: what goes wrong on the way to it is one line on standard
    error.

    Args:
      run: the run, at its last step.

    Returns:
      The file; ``None`` where it could not be written.
    """
    try:
        from jaxopt_lab.lab.run_page import sections

        return html_page.write(run.folder, title(run), sections.sections(run))
    except Exception as error:
        said = str(error).partition("\n")[0]
        kind = type(error).__name__
        sys.stderr.write(f"{html_page.REPORT} was not written: {kind}: {said}\n")
        return None


def after(run: Run, outcome: Outcome) -> Path | None:
    """Write the page of a run that has just ended, if its option ``report`` says so.

    Args:
      run: the run at its last step.
      outcome: how it ended; of one that was complete before, a page that is there
        stays.

    Returns:
      The file; ``None`` where none was written.
    """
    there = (run.folder / html_page.REPORT).exists()
    if run.config["report"] == "off" or (outcome.fitted is None and there):
        return None
    return write(run)


def title(run: Run) -> str:
    """The title of a run's page."""
    options = run.configuration.run
    text = f"{options.method} on {options.task} with {options.model}"
    return text if options.recipe == "none" else f"{text}, recipe {options.recipe}"
