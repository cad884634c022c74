"""The checked-in schemas are those of the code, and real documents fit them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from reconciler.cli.schema import FILES, Document, build, render
from reconciler.host.snapshot import dump
from reconciler.plan.document import plan_to_json
from reconciler.plan.drift import find_drift
from reconciler.plan.drift_document import drift_to_json
from reconciler.plan.inventory import build_inventory
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

ROOT = Path(__file__).parents[3]
FILE = """
[pf.int]
match = { name = "enp1s0" }
vfs = 4
[domain.web.nic.a]
vf = "int/1"
max_tx_rate = 5
"""


@pytest.mark.parametrize("document", list(Document))
def test_the_checked_in_schema_is_current(document: Document) -> None:
    assert (ROOT / "schemas" / FILES[document]).read_text() == render(document), "run: make schemas"


@pytest.mark.parametrize("document", list(Document))
def test_the_schema_is_one(document: Document) -> None:
    jsonschema.validators.validator_for(build(document)).check_schema(build(document))


def test_documents_fit_their_schemas() -> None:
    observed = host(igb(1, 2), domains=[guest("web", running=True)])
    wanted = desired(FILE)
    documents = {
        Document.PLAN: plan_to_json(make_plan(wanted, observed)),
        Document.DRIFT: drift_to_json(find_drift(wanted, observed)),
        Document.INVENTORY: build_inventory(observed),
        Document.SNAPSHOT: json.loads(dump(observed)),
    }
    for kind, document in documents.items():
        jsonschema.validate(json.loads(json.dumps(document)), build(kind))
