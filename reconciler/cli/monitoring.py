"""What a check for drift came to, for those who watch many hosts: fields in the journal, and a file of metrics."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from reconciler.cli import systemd_journal
from reconciler.cli.output import put
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

MESSAGE_ID = "6f1ec1f0f6c94f6da4f1a2d8a4f3b0a7"
"""Of every entry of a check, whatever it came to (sd_journal_print(3))."""
_ERROR, _WARNING, _INFO = "3", "4", "6"
"""Priorities, as in syslog(3)."""
_PRIORITY = {"in-sync": _INFO, "failed": _ERROR}
_TOLD = frozenset({"drift", "conflict", "unrecorded", "unknown"})
_MOST_FIELDS = 200
"""Of those that are named; an entry can't have more than 1024 fields."""


def put_report(text: str, headline: str, document: dict[str, Any], code: int) -> None:
    """The report on stdout; where that is systemd's journal, as one entry with fields to find it by."""
    if not systemd_journal.is_journal(sys.stdout):
        put(text)
        return
    fields = _fields(document["verdict"], code)
    source = document["source"]
    fields += [("RECONCILER_FILE", source["path"])]
    fields += [("RECONCILER_COMMIT", source["git"]["commit"])] if source.get("git") else []
    fields += [(f"RECONCILER_{label.upper().replace('-', '_')}", str(n)) for label, n in document["counts"].items()]
    told = [item for item in document["fields"] if item["label"] in _TOLD]
    fields += [("RECONCILER_FIELD", f"{item['address']}.{item['field']}") for item in told[:_MOST_FIELDS]]
    if systemd_journal.send([("MESSAGE", text.rstrip("\n")), *fields]):
        return
    systemd_journal.send([("MESSAGE", headline), *fields])  # It is too long for one entry, or there is no journal.
    put(text)


def tell_failed(error: Exception, code: int) -> None:
    """That nothing could be checked, for the journal; what is wrong comes on stderr as ever."""
    if systemd_journal.is_journal(sys.stderr):
        why = error.summary if isinstance(error, ReconcilerError) else "This is a fault in reconciler."
        message = f"Drift was not checked. {why} Exit code {code}."
        systemd_journal.send([("MESSAGE", message), *_fields("failed", code)])


def _fields(verdict: str, code: int) -> list[tuple[str, str]]:
    return [
        ("MESSAGE_ID", MESSAGE_ID),
        ("PRIORITY", _PRIORITY.get(verdict, _WARNING)),
        ("SYSLOG_IDENTIFIER", "reconciler-drift"),
        ("RECONCILER_VERDICT", verdict),
        ("RECONCILER_EXIT_CODE", str(int(code))),
    ]


class Metrics:
    """The file of metrics, if one is asked for. What would keep it from being written is told before anything is looked
    at: `ReconcilerError` 64 for its name, 1 without prometheus-client."""

    def __init__(self, path: Path | None, state_dir: Path) -> None:
        self._path = path
        self._state_dir = state_dir
        if path is None:
            return
        if path.suffix != ".prom":
            raise ReconcilerError(
                "Wrong usage.",
                f"--metrics {path}: the node exporter reads only files whose names end in .prom.",
                code=ExitCode.USAGE,
            )
        if importlib.util.find_spec("prometheus_client") is None:
            raise ReconcilerError(
                "A Python package is missing.",
                "--metrics takes prometheus-client: install it with pip, or Debian's python3-prometheus-client. "
                "Nothing was looked at.",
                code=ExitCode.FAILED,
            )

    def write(self, document: dict[str, Any] | None, code: int) -> ReconcilerError | None:
        """Replaces the file as a whole, readable by all; why it could not be. ``document``: what was found, ``None``
        when nothing could be looked for.

        Not by prometheus-client's own write_to_textfile(): its file has the mode that the umask leaves, and the name of
        the one beside it can be guessed, which matters in a folder that others write to."""
        if self._path is None:
            return None
        from reconciler.apply.ledger import last_apply
        from reconciler.clock import now
        from reconciler.files import replace_file
        from reconciler.report.drift_metrics import render_metrics

        applied_at = last_apply(self._state_dir) if document is None else document["applied_at"]
        checked_at = now() if document is None else document["created_at"]
        try:
            replace_file(
                self._path, render_metrics(document, code=code, checked_at=checked_at, applied_at=applied_at), 0o644
            )
        except OSError as error:
            return ReconcilerError(
                "The metrics can't be written.",
                f"{self._path}: {error.strerror}. Whatever stands there is of an earlier check.",
                code=ExitCode.NOT_PERMITTED if isinstance(error, PermissionError) else ExitCode.FAILED,
            )
        return None
