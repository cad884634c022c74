"""What a virtio NIC that stands in for a VF needs of the host, of libvirt and of the guest."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.host.model import Snapshot
from reconciler.kinds.nic.intent import NicIntent
from reconciler.kinds.nic.pair import is_strange
from reconciler.kinds.resolution import Resolution, vf_attributes
from reconciler.state.desired import AttributeValue

_TEAMING, _TEAMING_OF_HOSTDEV = 6_001_000, 7_001_000
"""libvirt's versions that know <teaming> in an <interface>, and in a plain <hostdev> (NEWS 6.1.0, 7.1.0)."""


def check_failover(resolution: Resolution, host: Snapshot, nic: NicIntent) -> Iterator[Diagnostic]:
    """All findings on one NIC that is declared with ``failover``."""
    if nic.bridge is None:
        return

    def finding(severity: Severity, code: str, summary: str, detail: str) -> Diagnostic:
        return resolution.finding(severity, code, summary, detail, nic.address, "failover")

    least = _TEAMING_OF_HOSTDEV if nic.nic.method == "hostdev" else _TEAMING
    if host.libvirt.version is not None and host.libvirt.version < least:
        yield finding(
            "error",
            "failover-too-old",
            "This libvirt knows no failover pairs.",
            f"It takes libvirt {_text(least)} with method {nic.nic.method}, and this is {_text(host.libvirt.version)}. "
            "Update libvirt, or take failover out.",
        )
    if host.bridges is not None and nic.bridge not in host.bridges:
        there = ", ".join(host.bridges) or "none"
        yield finding(
            "error",
            "failover-no-bridge",
            "The host has no such Linux bridge.",
            f"{nic.bridge} is not among them ({there}). Make it first, with the PF or a port on the same wire in it. "
            "A bridge of Open vSwitch is no Linux bridge, and not supported: libvirt needs a <virtualport> for it.",
        )
    strange = next((found for found in nic.find_standby(host) if found is not None and is_strange(found)), None)
    if strange is not None or nic.standby in nic.domain.other_aliases:
        yield finding(
            "error",
            "failover-alias-taken",
            "Another device of the guest has the alias of the stand-in.",
            f"{nic.standby} of {nic.domain.name} is not the virtio half of a pair on a bridge, and is left alone. Give "
            "it another alias, or the NIC here another key.",
        )
    if vlan := _vlan(resolution, nic):
        yield finding(
            "warning",
            "failover-vlan",
            "The VLAN of the VF is not that of the stand-in.",
            f"The card puts the VF into VLAN {vlan}, and what the guest sends through {nic.standby} comes untagged to "
            f"{nic.bridge}. Let the bridge take it into VLAN {vlan}: a bridge whose port on the wire is the interface "
            f"of that VLAN (ip link add link PF name PF.{vlan} type vlan id {vlan}), or vlan filtering.",
        )
    whole = all(device is None or device.partner is not None for device in (nic.live, nic.config))
    if not whole or (nic.live is None and nic.config is None):  # Once it is there it was told.
        yield finding(
            "note",
            "failover-in-guest",
            "The guest's kernel has to know failover pairs.",
            f"QEMU shows {nic.domain.name} this VF only once its virtio_net driver says that it can fail over: Linux "
            "4.18 or newer with net_failover, Windows with virtio-win's NetKVM and its failover protocol driver. "
            "Until then it has the virtio NIC alone.",
        )


def _vlan(resolution: Resolution, nic: NicIntent) -> AttributeValue:
    """The VLAN that is declared for its VF, 0: none."""
    of_vf = {}
    if nic.vf is not None:
        of_vf = vf_attributes(resolution.desired.pfs[resolution.pf_name(nic.vf[0])], nic.vf[1])
    return nic.nic.attributes.get("vlan", of_vf.get("vlan", 0))


def _text(version: int) -> str:
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
