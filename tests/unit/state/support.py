"""Short ways to load a text and to look at what was found in it."""

from __future__ import annotations

from pathlib import Path

from reconciler.diagnostics import Diagnostic, StateFileError
from reconciler.state.desired import Desired
from reconciler.state.load import load, load_with_notes

STATES = Path(__file__).parents[3] / "states"


def desired(text: str) -> Desired:
    return load("host.toml", text.encode())


def found(data: str | bytes) -> list[Diagnostic]:
    """The errors of a file; none when it is valid."""
    try:
        load("host.toml", data.encode() if isinstance(data, str) else data)
    except StateFileError as error:
        return error.diagnostics
    return []


def notes(text: str) -> list[str]:
    return [short(diagnostic) for diagnostic in load_with_notes("host.toml", text.encode())[1]]


def short(diagnostic: Diagnostic) -> str:
    """``3:7 pf.int wrong-type``."""
    return f"{diagnostic.line}:{diagnostic.column} {diagnostic.address} {diagnostic.code}"


def errors(data: str | bytes) -> list[str]:
    return [short(diagnostic) for diagnostic in found(data)]


def file(body: str) -> str:
    """A state file with one PF "int" of 8 VFs on lines 1 to 5; ``body`` begins on line 6."""
    return f'schema = 1\n[pf.int]\nmatch.name = "p1p1"\nvfs = 8\n\n{body}'
