"""What a file changed by hand, or a snapshot of elsewhere, can have wrong that a simulation would stumble over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from reconciler.diagnostics import ReconcilerError
from reconciler.host.model import Pf
from reconciler.host.twin import hands
from reconciler.host.twin.state import Twin

_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SHOWN = 5


def is_pci_address(text: str) -> bool:
    """``0000:01:00.0``."""
    return _PCI.fullmatch(text) is not None


def check(twin: Twin, path: str, summary: str = "The simulated host can't be read.") -> None:
    """Raises `ReconcilerError` with code 65 that names the first few; `path` and `summary` are for the message."""
    wrong = list(_wrong(twin))
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ReconcilerError(summary, f"{path}: {'; '.join(wrong[:_SHOWN])}{more}.", code=65)


def _wrong(twin: Twin) -> Iterator[str]:
    listed = (
        *((key, pf.id) for key, pf in twin.pfs.items()),
        *((key, domain.name) for key, domain in twin.libvirt.domains.items()),
        *((key, network.name) for key, network in twin.libvirt.networks.items()),
    )
    yield from (f"{key!r} is listed under that name but is {name!r}" for key, name in listed if key != name)
    yield from (f"{key} is no PF" for key in twin.cards if key not in twin.pfs)
    for pf in twin.pfs.values():
        yield from _wrong_pf(pf)
    if not (math.isfinite(twin.clock) and all(math.isfinite(event.at) for event in twin.events)):
        yield "a time is no number of seconds"
    for fault in twin.faults:
        if fault.kind == "do" and not hands.is_known(fault.command):
            yield f"{fault.command!r} can't be done to it"
    if not (math.isfinite(twin.pace) and twin.pace >= 0):
        yield f"pace is {twin.pace}"


def _wrong_pf(pf: Pf) -> Iterator[str]:
    if pf.bus == "pci" and not is_pci_address(pf.device):
        yield f"{pf.device!r} is no PCI address"
    indexes = [vf.index for vf in pf.vfs]
    if indexes != sorted(set(indexes)):  # They need not begin with 0: a removal that hangs has begun with the first.
        yield f"the VFs of {pf.id} are not in order"
    if (pf.num_vfs or 0) != len(pf.vfs):
        yield f"{pf.id} has num_vfs {pf.num_vfs} and {len(pf.vfs)} VFs"
    for vf in pf.vfs:
        if vf.attributes is None:
            yield f"{pf.id} vf {vf.index} has no attributes"
        if vf.address is not None and not is_pci_address(vf.address):
            yield f"{vf.address!r} is no PCI address"
