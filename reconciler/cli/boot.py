"""What an apply does for the units of the boot: it waits for what is not there yet, and tells systemd how it went.

Started by anybody else it tells nobody, and all else is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import say
from reconciler.host.local.service_manager import take_longer, tell_status

if TYPE_CHECKING:
    from reconciler.host.model import Snapshot
    from reconciler.host.protocol import Reader
    from reconciler.plan.document import Plan
    from reconciler.report.progress import Outcome, Progress
    from reconciler.state.desired import Desired

FILES = "files"
"""In place of libvirt's URI: it is not asked, and its definitions are read from its files."""
_MARGIN = 120.0
"""Seconds beyond what a step may take: for reading the host before and after it."""


def early_targets(desired: Desired) -> list[str]:
    """The addresses that --early is about: of pools and domains what is the kernel's, VFs for NICs. Services would wait
    for the boot that waits for us, and huge pages are made by systemd-tmpfiles; the initramfs has time until later."""
    from reconciler.state.address import address

    modules = {"blacklist": desired.blacklist, "load": desired.load}
    return [
        *(address("modules", name) for name, value in modules.items() if value is not None),
        *(address("pf", name) for name in desired.pfs),
        *(address("pool", name) for name in desired.pools),
        *(address("domain", name) for name in desired.domains),
    ]


def await_cards(desired: Desired, reader: Reader) -> None:
    """Waits for the PFs that the file declares, as long as any more may come."""
    from reconciler.host.local.arrival import CARDS_AT_MOST, wait_for_cards
    from reconciler.host.local.reader import LocalReader
    from reconciler.kinds.match import match_pfs

    told: list[str] = []

    def complete(host: Snapshot) -> bool:
        found = match_pfs(desired, host)[0]
        missing = [f"pf.{name}" for name in desired.pfs if name not in found]
        if missing and missing != told:
            tell_status(f"Waiting for cards: {', '.join(missing)}")
            told[:] = missing
        return not missing

    take_longer(CARDS_AT_MOST + _MARGIN)
    if isinstance(reader, LocalReader):
        wait_for_cards(reader, complete)


def await_libvirt(options: Any, desired: Desired, seconds: int) -> None:
    """Waits for an answer of libvirt, if the file declares anything of it. Without one the apply says what it lacks."""
    from reconciler.host.local.arrival import wait_for_libvirt

    if options.host == "local" and (desired.pools or desired.domains):
        tell_status("Waiting for libvirt, which starts its networks and guests")
        take_longer(seconds + _MARGIN)
        why = wait_for_libvirt(options.libvirt, seconds)
        if why:
            say(f"Warning: {why}")


class _Telling:
    """Passes on what an apply tells of its progress, and tells systemd what it is at and for how long: so the unit's
    time grows with the number of steps, and that of a step with the number of VFs."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._total = self._done = 0

    def start(self, total: int) -> None:
        self._total, self._done = total, 0
        take_longer(_MARGIN)
        self._inner.start(total)

    def begin(self, action: dict[str, Any]) -> None:
        from reconciler.kinds.operations import OPERATIONS

        take_longer(OPERATIONS[action["op"]].deadline(action["args"]) + _MARGIN)
        tell_status(f"Step {self._done + 1} of {self._total}: {action['op']} of {action['address']}")
        self._inner.begin(action)

    def end(self, action_id: str, outcome: Outcome, seconds: float, error: str = "") -> None:
        self._done += 1
        self._inner.end(action_id, outcome, seconds, error)

    def finish(self) -> None:
        take_longer(_MARGIN)
        self._inner.finish()


def telling(inner: Progress) -> Progress:
    """Progress that systemd is told of, too."""
    return _Telling(inner)


def tell_blocked(plan: Plan) -> None:
    """Nothing is done: why."""
    errors = [d for d in plan.diagnostics if d.severity == "error"]
    tell_status("Nothing was done: " + "; ".join(f"{d.address or 'the host'}: {d.summary}" for d in errors))


def tell_end(plan: Plan, desired: Desired, host: Snapshot | None, outcomes: Mapping[str, str]) -> None:
    """How many VFs there are of those that are declared, what failed, and what was left out. ``host``: as it is now;
    ``outcomes``: by the id of the action."""
    parts = [_count(desired, host)] if host is not None else ["The host could not be read again"]
    failed = [a.address for a in plan.actions if outcomes.get(a.id) == "failed"]
    skipped = [a.address for a in plan.actions if outcomes.get(a.id) == "skipped"]
    later = [d for d in plan.diagnostics if d.code == "left-for-later"]
    why = {d.address: d.summary.rstrip(".") for d in plan.diagnostics if d.severity in ("warning", "error")}
    for label, addresses in (("FAILED", failed), ("not done after that", skipped), ("left out", plan.dropped)):
        told = [f"{item} ({why[item]})" if item in why else item for item in _folded(addresses)]
        if told:
            parts.append(f"{label}: {', '.join(told)}")
    if later:
        parts.append("the rest once libvirt runs")
    tell_status("; ".join(parts))


def _folded(addresses: list[str]) -> list[str]:
    """Without those inside another one of them."""
    known = dict.fromkeys(addresses)
    return [item for item in known if not any(item.startswith(f"{other}.") for other in known)]


def _count(desired: Desired, host: Snapshot) -> str:
    from reconciler.kinds.match import match_pfs

    found = match_pfs(desired, host)[0]
    wanted = {name: pf.vfs for name, pf in desired.pfs.items() if pf.vfs is not None}
    there = sum(min(host.pfs[found[name]].num_vfs or 0, count) for name, count in wanted.items() if name in found)
    return f"VFs: {there} of {sum(wanted.values())}"
