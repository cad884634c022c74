"""What other tools' files say of the same cards: of two that set one value, whichever runs last wins.

A warning, and no error: the plan can be carried out, and what it does holds until the other one runs. A host is mostly
taken over from a script, which is there until the plan has been applied once.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Claim, Snapshot
from reconciler.kinds.owners import HOW_TO_STOP, OTHERWISE
from reconciler.kinds.pf.compare import autoprobe
from reconciler.kinds.resolution import Resolution
from reconciler.state.address import address
from reconciler.state.desired import AttributeValue

_SHOWN = 4
"""Of what one file says."""


def check_owners(resolution: Resolution, host: Snapshot) -> list[Diagnostic]:
    """One finding per PF and file that says something about what is declared."""
    return list(_conflicts(resolution, host)) + list(_unread(resolution, host))


def _conflicts(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    claims = host.owners.claims or []
    for name, identity in resolution.pfs.items():
        concerned = [(claim, value) for claim in claims if (value := _declared(resolution, name, claim)) is not None]
        for path in dict.fromkeys(claim.path for claim, _ in concerned):
            said = [(claim, value) for claim, value in concerned if claim.path == path and claim.pf == identity]
            differing = [(claim, value) for claim, value in said if not _same(claim.value, value)]
            if differing:
                yield _differs(resolution, name, differing)
            elif said:
                yield _agrees(resolution, name, [claim for claim, _ in said])


def _declared(resolution: Resolution, name: str, claim: Claim) -> AttributeValue | None:
    """What the file declares of the same thing; ``None``: nothing, so it is the other one's to say."""
    identity, pf = resolution.pfs[name], resolution.desired.pfs[name]
    if claim.pf != identity:
        return None
    if claim.vf is not None:
        intent = resolution.intents.get((identity, claim.vf), {}).get(claim.field)
        return intent.value if intent is not None else None
    values: dict[str, AttributeValue | None] = {"vfs": pf.vfs, "mtu": pf.mtu, "link": pf.link}
    return {**values, "autoprobe": autoprobe(pf)}.get(claim.field)


def _same(said: AttributeValue, declared: AttributeValue) -> bool:
    return type(said) is type(declared) and said == declared


def _differs(resolution: Resolution, name: str, claims: list[tuple[Claim, AttributeValue]]) -> Diagnostic:
    first = claims[0][0]
    said = [f"{_where(claim)} = {_text(claim.value)}, declared is {_text(value)}" for claim, value in claims[:_SHOWN]]
    more = f"; and {len(claims) - _SHOWN} more" if len(claims) > _SHOWN else ""
    count = " A changed VF count takes VFs from guests." if any(claim.field == "vfs" for claim, _ in claims) else ""
    stop = HOW_TO_STOP.get(first.owner, OTHERWISE)
    return resolution.finding(
        "warning",
        "another-owner-differs",
        "Another tool's file says otherwise.",
        f"{first.path}:{first.line} ({first.owner}): {'; '.join(said)}{more}. Whichever of the two runs last wins, "
        f"mostly at boot.{count} {stop} Or declare the same here.",
        address("pf", name),
        first.field if first.vf is None else "",
    )


def _agrees(resolution: Resolution, name: str, claims: list[Claim]) -> Diagnostic:
    first = claims[0]
    said = ", ".join(f"{_where(claim)} = {_text(claim.value)}" for claim in claims[:_SHOWN])
    return resolution.finding(
        "note",
        "another-owner-agrees",
        "Another tool's file sets the same.",
        f"{first.path}:{first.line} ({first.owner}): {said}. That is no trouble until one of the two is changed. "
        f"{HOW_TO_STOP.get(first.owner, OTHERWISE)}",
        address("pf", name),
    )


def _where(claim: Claim) -> str:
    """The field, with the VF and the line that it stands on."""
    return claim.field if claim.vf is None else f"{claim.field} of VF {claim.vf} (line {claim.line})"


def _text(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unread(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Whose word is not known. Of no weight for a file that declares no PF."""
    unread = host.owners.unread
    if not unread or not resolution.pfs:
        return
    more = f" And {len(unread) - _SHOWN} more." if len(unread) > _SHOWN else ""
    name = next(iter(resolution.pfs))
    yield resolution.finding(
        "note",
        "another-owner-unread",
        "Not all files of other tools could be read.",
        f"{' '.join(unread[:_SHOWN])}{more}",
        address("pf", name),
    )
