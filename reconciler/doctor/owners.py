"""Who else configures the same cards: two that set one value undo each other's work, at the next boot if not before."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found
from reconciler.host.platform import OwnerLine
from reconciler.kinds.owners import HOW_TO_STOP, OTHERWISE


def check_owners(facts: Facts) -> Found:
    """A finding per file. A file that only names a PF, for its address perhaps, is no trouble unless it says more."""
    owners = facts.platform.owners
    if not facts.pfs:
        return
    if owners is None:
        yield Unchecked("other owners", "what other tools' files say of these cards")
        return
    concerned = [line for line in owners if _concerns(facts, line)]
    for path in dict.fromkeys(line.path for line in concerned):
        lines = [line for line in concerned if line.path == path]
        makes = [line for line in lines if line.makes_vfs]
        yield _conflict(makes) if makes else _neighbour(lines)
    if not any(line.makes_vfs for line in concerned):
        yield Checked("other owners", "no other tool's file makes VFs or sets what they are like")
    manager = (facts.platform.services or {}).get("NetworkManager")
    kept_off = all(pf.id in (facts.host.host_network.ignored or ()) for pf in facts.pfs)
    if manager is not None and (manager.active or manager.enabled) and not kept_off:
        yield Finding(
            "note",
            "networkmanager-runs",
            "NetworkManager",
            f"NetworkManager {'runs' if manager.active else 'starts at boot'}, and takes every VF that gets an "
            "interface of the host.",
            "It may set such a VF up and ask for an address on it before a guest gets it.",
            'Keep the host\'s driver away from VFs (vf_driver = "none"), or declare host_network = "ignore" on the PF.',
        )


def _concerns(facts: Facts, line: OwnerLine) -> bool:
    """Whether it names one of the PFs that are looked at, or no card."""
    ours = {name for pf in facts.pfs for name in (pf.netdev, pf.device, *pf.altnames)}
    return not line.names or bool(ours & set(line.names))


def _conflict(lines: list[OwnerLine]) -> Finding:
    first = lines[0]
    more = f" and {len(lines) - 1} more lines" if len(lines) > 1 else ""
    which = f" It is about {', '.join(first.names)}." if first.names else ""
    return Finding(
        "problem",
        "another-owner",
        first.owner,
        f"{first.path}:{first.line} configures VFs: {first.text}{more}.{which}",
        "Two that set the same VFs undo each other's work, mostly at boot; a changed VF count takes VFs from guests.",
        HOW_TO_STOP.get(first.owner, OTHERWISE),
    )


def _neighbour(lines: list[OwnerLine]) -> Finding:
    first = lines[0]
    return Finding(
        "note",
        "pf-configured-elsewhere",
        first.owner,
        f"{first.path}:{first.line} configures {', '.join(first.names)}: {first.text}.",
        "That is fine for addresses; two that set the link or the MTU undo each other's work.",
        "If it sets the link or the MTU, leave these out of the state file.",
    )
