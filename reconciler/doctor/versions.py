"""What versions of libvirt lack or get wrong, as far as SR-IOV is concerned; from libvirt's NEWS.rst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.doctor.facts import Facts, vf_nics

OLDEST_QEMU = ((12_004_000, 7_002_000),)
"""From this libvirt on, QEMU has to be at least that (NEWS 12.4.0)."""
STARTS_ONCE = 5_009_000
"""libvirt from which on a network is started by itself once per boot, not at each start of libvirt (NEWS 5.9.0)."""


def version_text(version: int) -> str:
    """``11.3.0`` for 11003000."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"


def _pools(facts: Facts) -> bool:
    return bool(facts.networks) or bool(facts.desired and facts.desired.pools)


def _autostarted(facts: Facts) -> bool:
    declared = facts.desired.pools.values() if facts.desired is not None else ()
    return any(network.autostart for network in facts.networks) or any(pool.autostart for pool in declared)


def _interfaces(facts: Facts) -> bool:
    """Guests with VFs that libvirt knows as interfaces."""
    declared = facts.desired.domains.values() if facts.desired is not None else ()
    return any(nic.method in ("interface", "pool") for d in facts.domains for nic in (*d.config, *d.live)) or any(
        nic.method != "hostdev" for domain in declared for nic in domain.nics.values()
    )


def _migratable(facts: Facts) -> bool:
    """Guests with VFs that may be migrated while they run; with a state file, those that it says it of."""
    if facts.desired is None:
        return any(vf_nics([*domain.config, *domain.live]) for domain in facts.domains)
    return any(nic.failover for domain in facts.desired.domains.values() for nic in domain.nics.values())


def _mellanox(facts: Facts) -> bool:
    return any(pf.driver == "mlx5_core" for pf in facts.pfs)


@dataclass(frozen=True, slots=True)
class Quirk:
    """A fault, or an ability that is lacking; versions as libvirt counts, ``until`` not included."""

    since: int
    until: int
    bug: bool
    matters: Callable[[Facts], bool]
    seen: str
    why: str
    otherwise: str = ""
    """What else helps, after "Update libvirt …"."""

    def concerns(self, version: int) -> bool:
        """Whether this version has it."""
        return self.since <= version < self.until


QUIRKS = (
    Quirk(
        0,
        5_005_000,
        False,
        _pools,
        "can't say which guest has which VF of a pool",
        "VFs of pools are found only in the definitions of running guests.",
    ),
    Quirk(
        0,
        STARTS_ONCE,
        False,
        _autostarted,
        "starts pools with autostart each time that it is started itself",
        "A pool that was stopped on purpose is active again after an update or a restart of libvirt.",
    ),
    Quirk(
        0,
        6_001_000,
        False,
        _migratable,
        "knows no <teaming>",
        "A guest with a VF can't have a virtio NIC to fall back to while it is migrated.",
    ),
    Quirk(
        6_001_000,
        7_001_000,
        False,
        _migratable,
        "knows <teaming> for interfaces only, not for a plain <hostdev>",
        "A guest with a VF as <hostdev> can't have a virtio NIC to fall back to while it is migrated.",
    ),
    Quirk(
        0,
        6_009_000,
        False,
        _interfaces,
        "can't count a guest's traffic on a VF",
        "`virsh domifstat` of such a NIC fails.",
        ", or read `ip -s link show` of the PF",
    ),
    Quirk(
        0,
        8_001_000,
        True,
        lambda facts: _interfaces(facts) and _mellanox(facts),
        "clears the VLAN of each VF that it gives out and takes the refusal of a SmartNIC (DPU) for an error",
        'On such a card the start of a guest fails with "Operation not permitted". Other cards are not concerned.',
        ', or use method = "hostdev"',
    ),
    Quirk(
        9_000_000,
        9_005_000,
        True,
        _interfaces,
        "may fail to start a guest with a VF as <interface>",
        "Such a guest stays off until libvirt is updated.",
        ', or use method = "hostdev"',
    ),
    Quirk(
        0,
        9_007_000,
        False,
        _mellanox,
        "binds VFs to vfio-pci only, not to mlx5_vfio_pci",
        "Guests with a VF of this card can't be migrated while they run.",
    ),
    Quirk(
        9_007_000,
        10_000_000,
        False,
        _mellanox,
        "binds a VF to mlx5_vfio_pci only when told to: `virsh nodedev-detach --driver`, with managed='no'",
        "With managed='yes' it is vfio-pci, and guests with a VF of this card can't be migrated while they run.",
    ),
    Quirk(
        12_001_000,
        12_002_000,
        True,
        _pools,
        "crashes when an interface of a hostdev network is attached to a running guest",
        "Whoever talks to libvirt at that moment loses the connection, and the guest may be left without its NIC.",
        ", or attach such NICs while the guest is off",
    ),
)
"""In the order of versions. The limit of pinned memory with a vIOMMU (8.7.0) is told by the check of memory."""
