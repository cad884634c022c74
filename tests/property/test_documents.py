"""Two libraries read our documents, msgspec because it is fast, and pydantic to say what is wrong: what the first one
takes, the second one takes too, and as the same. Else the meaning of a changed document would depend on the library."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from reconciler.host.model import Applied, Ledger, Snapshot
from reconciler.host.twin.profiles import make_from, packaged
from reconciler.host.twin.state import Twin
from reconciler.json_data import as_type, read_json, to_data, to_text
from reconciler.plan.document import Plan
from reconciler.state.desired import Desired
from tests.fuzz.mutate import damaged, to_json
from tests.property.test_plan import accepted, files, hosts, plan_of

READERS: dict[Any, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Snapshot, Twin, Plan, Desired, Ledger)}
APPLIED = st.builds(
    Applied, st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)), st.text(max_size=3)
)
OFTEN = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def same_to_both(draw: Any, value: Any, kind: Any = None) -> None:
    """The document of a value as it is, and damaged."""
    kind = kind or type(value)
    whole = READERS[kind].dump_python(value, mode="json")
    assert read_json(to_text(to_data(value))) == whole
    assert as_type(whole, kind) == value == READERS[kind].validate_python(whole)
    try:
        document = read_json(to_json(damaged(draw, whole)))
        taken = msgspec.convert(document, kind, str_keys=True)
    except (ValueError, RecursionError):
        assume(False)  # Refused by the fast one, or no JSON at all: the other one then has the word.
    # As text, since True is 1 and 1.0 in a comparison.
    assert to_text(to_data(taken)) == to_text(to_data(READERS[kind].validate_python(document)))


@given(st.data(), st.sampled_from(sorted(packaged())))
@OFTEN
def test_simulated_hosts(data: Any, profile: str) -> None:
    same_to_both(data.draw, make_from(profile))


@given(st.data(), hosts())
@OFTEN
def test_snapshots(data: Any, observed: Snapshot) -> None:
    same_to_both(data.draw, observed)


@given(st.data(), files(), hosts())
@OFTEN
def test_plans(data: Any, state: dict[str, Any], observed: Snapshot) -> None:
    same_to_both(data.draw, plan_of(state, observed)[1])


@given(st.data(), files())
@OFTEN
def test_state_files(data: Any, state: dict[str, Any]) -> None:
    same_to_both(data.draw, accepted(state))


@given(st.data(), st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=3), APPLIED, max_size=3)))
@OFTEN
def test_ledgers(data: Any, ledger: Ledger) -> None:
    same_to_both(data.draw, ledger, Ledger)


@given(files(), hosts())
@OFTEN
def test_a_state_file_in_a_plan_is_the_same_before_and_after(state: dict[str, Any], observed: Snapshot) -> None:
    told = plan_of(state, observed)[1].desired
    assert read_json(to_text(told)) == told
