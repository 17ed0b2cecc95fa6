"""Run the commands of pages and write their outputs beside them.

``python docs/extensions/command_outputs.py docs/experiment.md ...`` runs, in one new
folder, each command that stands in a comment ``<!-- run: COMMAND -->``, and puts a
block with the command and what it printed behind it, in the place of the old one.

A comment ``<!-- figure 1 of REPORT.html: FILE.svg -->`` takes the first figure of a
page that one of the commands wrote.
"""

from __future__ import annotations

import base64
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"<!-- run: (.*?) -->\n(```\n\$ .*?\n```\n)?", re.DOTALL)
FIGURE = re.compile(r"<!-- figure (\d+) of (\S+): (\S+) -->")
PROGRESS = re.compile(r"step \d+/\d+")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def output(command: str, folder: str) -> str:
    """The text that a command prints, in a narrow terminal without colours.

    Args:
      command: as it stands on the page.
      folder: where it runs.

    Returns:
      The text without the lines of progress; the folder is ``.``.
    """
    program = f"{sys.executable} -m jaxopt_lab.lab.main"
    found = subprocess.run(
        re.sub(r"^jaxopt-lab\b", program, command),
        shell=True,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "88",
            "NO_COLOR": "1",
            "TERM": "dumb",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    lines = found.stdout.replace(folder, ".").splitlines()
    kept = [line.rstrip() for line in lines if not PROGRESS.match(line)]
    return "\n".join(kept).strip("\n")


def main(pages: list[str]) -> None:
    """Run the commands of the pages, in turn and in one folder."""
    with tempfile.TemporaryDirectory() as folder:
        for page in map(pathlib.Path, pages):

            def block(found: re.Match[str]) -> str:
                command = found[1]
                print(command, flush=True)
                shown = command.removesuffix(" || true")
                text = output(command, folder)
                return f"<!-- run: {command} -->\n```\n$ {shown}\n{text}\n```\n"

            page.write_text(BLOCK.sub(block, page.read_text()))
            for number, report, file in FIGURE.findall(page.read_text()):
                written = pathlib.Path(folder, report).read_text()
                figures = re.findall(
                    r"data:image/(?:png|svg\+xml);base64,([^\"]+)", written
                )
                target = page.parent / file
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(base64.b64decode(figures[int(number) - 1]))


if __name__ == "__main__":
    main(sys.argv[1:])
