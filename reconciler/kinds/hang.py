"""What must not be tried while the kernel hangs in a write: it would only wait behind it, and take effect whenever."""

from __future__ import annotations

from reconciler.host.model import Hang, Snapshot
from reconciler.host.refusals import describe
from reconciler.kinds.operation import Args

MOST_HANGING = 8
"""Writes that hang at once, after which none is added anywhere."""
_NETWORK = ("pf.set_link", "pf.set_mtu", "vf.set")
"""Operations by rtnetlink."""
_WHOLE_BUS = ("sriov_numvfs", "remove", "rescan")
"""Files whose writes hold the lock of all PCI hot-plug (pci_rescan_remove_lock), sriov_numvfs since about 6.12.50: seen
in the lab with 6.12.117, where another card's VFs could not be made as long as the removal of one VF hung."""


def in_the_way(host: Snapshot, op: str, args: Args) -> str:
    """Why an operation must wait, in a sentence without its full stop; "" when nothing is in its way. To take a NIC off
    a guest is never in the way: that may be what the kernel waits for."""
    if not host.hangs:
        return ""
    hang = next((hang for hang in host.hangs if _blocks(host, hang, op, args)), None)
    if hang is None and len(host.hangs) >= MOST_HANGING and op.startswith(("pf.", "vf.", "modules.")):
        hang = host.hangs[0]
    return describe(hang) if hang is not None else ""


def _blocks(host: Snapshot, hang: Hang, op: str, args: Args) -> bool:
    if not hang.path:
        return op in _NETWORK
    if op in ("modules.load", "modules.unload"):
        return True  # The driver core asks every device that the module fits for its lock (driver_attach).
    if hang.pf and hang.pf in _touched(host, op, args):
        return True
    everywhere = hang.path.endswith(_WHOLE_BUS)
    return op == "pf.set_numvfs" and args["pf"].startswith("pci/") and everywhere


def _touched(host: Snapshot, op: str, args: Args) -> set[str]:
    """PFs that an operation writes to, or whose VFs."""
    if op.startswith(("pf.", "vf.")):
        return _of_domain(host, args) if "pf" not in args else {args["pf"]}
    if op != "nic.attach" or not args["live"]:
        return set()
    nic = args["nic"]
    if nic.get("vf") is not None:
        return {nic["vf"][0]}
    network = host.libvirt.networks.get(nic.get("pool") or "")
    if network is None:
        return set()
    listed = {network.pf_dev, *network.live_addresses, *network.addresses}
    return {pf.id for pf in host.pfs.values() if pf.netdev in listed or any(vf.address in listed for vf in pf.vfs)}


def _of_domain(host: Snapshot, args: Args) -> set[str]:
    """The PF of the VF that a guest's NIC has."""
    domain = host.libvirt.domains.get(args["domain"])
    has = {nic.vf_address for nic in domain.live if nic.alias == args["alias"]} if domain is not None else set()
    return {pf.id for pf in host.pfs.values() if any(vf.address in has for vf in pf.vfs)}
