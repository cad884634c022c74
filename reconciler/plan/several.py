"""Several state files for one host: where they contradict one another, and what one takes over from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.host.model import Snapshot
from reconciler.kinds.registry import compare_all
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.resolve import resolve
from reconciler.plan.document import Plan
from reconciler.state.desired import Desired


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of one thing."""

    what: str
    """``pf.int.vfs``."""
    value: Any
    line: int


def contradictions(one: Desired, other: Desired, observed: Snapshot) -> list[tuple[Said, Said]]:
    """Fields of the same thing on the host, whatever the files call it, that two files declare otherwise; and VFs that
    they give to different NICs. In the order of the second file."""
    first, second = resolve(one, observed), resolve(other, observed)
    known = {(state.identity, state.field): state for state in compare_all(first, observed)}
    found = []
    for state in compare_all(second, observed):
        same = known.get((state.identity, state.field))
        if same is not None and _plain(first, same.declared) != _plain(second, state.declared):
            pair = ((one, same), (other, state))
            said = [Said(f"{s.address}.{s.field}", s.declared, d.line(s.address, s.field)) for d, s in pair]
            found.append((said[0], said[1]))
    return found + list(_given_twice(first, second))


def _plain(resolution: Resolution, value: Any) -> Any:
    """A value without the file's own names of PFs: ``int/3`` is the PF's identity and 3."""
    if isinstance(value, list):
        return [_plain(resolution, item) for item in value]
    name, slash, index = value.partition("/") if isinstance(value, str) else ("", "", "")
    return (resolution.pfs[name], index) if slash and name in resolution.pfs else value


def _given_twice(first: Resolution, second: Resolution) -> Iterator[tuple[Said, Said]]:
    for vf, nic in second.by_vf.items():
        same = first.by_vf.get(vf)
        if same is None or same.identity == nic.identity or None in (same.nic.vf, nic.nic.vf):
            continue
        said = [
            Said(f"{n.address}.vf", f"{r.pf_name(vf[0])}/{vf[1]}", r.desired.line(n.address, "vf"))
            for r, n in ((first, same), (second, nic))
        ]
        yield said[0], said[1]


def taken_over(plan: Plan, desired: Desired, observed: Snapshot) -> dict[str, list[str]]:
    """Fields that a plan changes and that still are as an earlier run applied them, by that run: the file declares
    otherwise than the one of then."""
    changes = {(change.address, field.name) for change in plan.changes for field in change.fields}
    if not changes:
        return {}
    found: dict[str, list[str]] = {}
    for state in compare_all(resolve(desired, observed), observed):
        applied = observed.ledger.get(state.identity, {}).get(state.field)
        if applied is None or not applied.run or (state.address, state.field) not in changes:
            continue
        if applied.value == state.observed != state.declared:
            found.setdefault(applied.run, []).append(f"{state.address}.{state.field}")
    return found
