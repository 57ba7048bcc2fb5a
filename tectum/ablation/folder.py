"""The files of a study, beside the folders of its runs; several invocations take turns at writing them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from tectum.ablation.findings import Findings
from tectum.ablation.plot import plot_findings
from tectum.ablation.record import LOCKS
from tectum.ablation.report import findings_json, long_sheet, sheets
from tectum.errors import TectumError
from tectum.evaluation.run_folder import write_whole

STUDY = "study.json"
"""What was run, and where."""


def write_study(out: Path, content: Mapping[str, Any]) -> Path:
    """Stores what is run.

    Raises:
        TectumError: if the file cannot be written.
    """
    path = out / STUDY
    with _turn(out):
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def write_findings(out: Path, findings: Findings) -> list[Path]:
    """Writes what is found as `table.md`, `.csv`, `.tex`, `.json` and `.png`.

    Raises:
        TectumError: if a file cannot be written.
    """
    tables = sheets(findings)
    texts = {
        "table.md": "\n".join(table.markdown() for table in tables),
        "table.csv": long_sheet(findings).csv(),
        "table.tex": "\n".join(table.latex() for table in tables),
        "table.json": json.dumps(findings_json(findings), indent=1, ensure_ascii=False) + "\n",
    }
    with _turn(out):
        for name, text in texts.items():
            write_whole(out / name, text)
        plot_findings(out / "table.png", findings)
    return [out / name for name in (*texts, "table.png")]


@contextmanager
def _turn(out: Path) -> Iterator[None]:
    """Only one process is in this block."""
    path = out / LOCKS / "study.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
    except OSError as error:
        raise TectumError(f"{out} cannot be written ({error.strerror}): give another folder with --out.") from None
    try:
        yield
    finally:
        lock.release()
