"""``reconciler schema``."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode


class Document(StrEnum):
    """Documents with a schema."""

    STATE = "state"
    PLAN = "plan"
    DRIFT = "drift"
    INVENTORY = "inventory"
    SNAPSHOT = "snapshot"
    DOCTOR = "doctor"


FILES = {
    Document.STATE: "host-state.schema.json",
    Document.PLAN: "plan.schema.json",
    Document.DRIFT: "drift.schema.json",
    Document.INVENTORY: "inventory.schema.json",
    Document.SNAPSHOT: "snapshot.schema.json",
    Document.DOCTOR: "doctor.schema.json",
}
"""Where each stands under schemas/."""


def build(document: Document) -> dict[str, Any]:
    """The JSON Schema of one document."""
    match document:
        case Document.STATE:
            from reconciler.state.schema import state_schema

            return state_schema()
        case Document.PLAN:
            from reconciler.plan.schema import plan_schema

            return plan_schema()
        case Document.DRIFT:
            from reconciler.plan.schema import drift_schema

            return drift_schema()
        case Document.INVENTORY:
            from reconciler.plan.inventory import inventory_schema

            return inventory_schema()
        case Document.SNAPSHOT:
            from reconciler.host.snapshot import snapshot_schema

            return snapshot_schema()
        case Document.DOCTOR:
            from reconciler.doctor.document import doctor_schema

            return doctor_schema()


def render(document: Document) -> str:
    """The schema as it stands in its file."""
    return json.dumps(build(document), indent=2, ensure_ascii=False) + "\n"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document.")],
) -> int:
    """Print the JSON Schema of a document."""
    put(render(document))
    return ExitCode.OK


def write_all(folder: Path) -> None:
    """Writes every schema to its file; for the checked-in ones, by ``make schemas``."""
    for document, name in FILES.items():
        (folder / name).write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
