"""The guests: free slots, how many VFs, what can't work inside. Their memory: `reconciler.doctor.memory`."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found, vf_nics
from reconciler.host.model import Domain
from reconciler.kinds.nic.identity import standby_alias_of

USUAL_LIMIT = 32
"""VFs per guest where no state file says otherwise: the most that RHEL 6 and 7 supported; libvirt has no limit."""
HARD_LIMIT = 64
"""RHEL's QEMU starts a guest with 64 and not with 65 (tp-libvirt, sriov_scalability_max_vf.cfg)."""


def check_ports(facts: Facts) -> Found:
    """A q35 guest takes a card while it runs only on a free pcie-root-port, and they can't be added while it runs
    (libvirt, docs/pci-hotplug.rst)."""
    if not facts.wants_guests:
        return
    for domain in facts.domains:
        guest = domain.hardware
        need = to_attach(facts, domain) + _stand_ins_to_attach(facts, domain)
        if guest is None and domain.running and (need or facts.desired is None):
            yield Unchecked("root ports", f"how many free ones {domain.name} has")
        if guest is None or guest.free_root_ports is None or not domain.running:
            continue
        free = guest.free_root_ports
        if free >= max(need, 1):
            yield Checked("root ports", f"{domain.name}: {free} free")
            continue
        if facts.desired is not None and not need:
            continue
        wanted = f", and the state file gives it {need} more NICs" if need else ""
        yield Finding(
            "problem" if need else "warning",
            "no-free-root-port",
            f"guest {domain.name}",
            f"{domain.name} runs with {free} free PCIe root ports{wanted}.",
            'A VF can be attached to it only while it is off: "No more available PCI slots".',
            f"Declare root_ports = {max(need, 1)} for it, apply, shut it down and start it.",
            f"domain.{domain.name}" if need else "",
            facts.line(f"domain.{domain.name}") if need else 0,
        )


def to_attach(facts: Facts, domain: Domain) -> int:
    """How many NICs of the file the guest doesn't have yet, by alias and by MAC."""
    declared = facts.desired.domains.get(domain.name) if facts.desired is not None else None
    wanted = [nic for nic in declared.nics.values() if nic.state == "present"] if declared else []
    aliases = {nic.alias for nic in domain.live} | {nic.alias for nic in domain.config if nic.alias}
    macs = {nic.mac for nic in vf_nics(domain.live if domain.running else domain.config)}
    return sum(f"ua-rec-{nic.key}" not in aliases and nic.attributes.get("mac") not in macs for nic in wanted)


def _stand_ins_to_attach(facts: Facts, domain: Domain) -> int:
    """How many virtio NICs of the file's pairs the guest doesn't have yet: each takes a slot, too."""
    declared = facts.desired.domains.get(domain.name) if facts.desired is not None else None
    wanted = [nic for nic in declared.nics.values() if nic.state == "present" and nic.failover] if declared else []
    present = {nic.alias for nic in (domain.live if domain.running else domain.config)}
    return sum(standby_alias_of(nic.key) not in present for nic in wanted)


def check_limit(facts: Facts) -> Found:
    """How many VFs a guest has. With a state file the plan checks it against the file's own limit."""
    if facts.desired is not None:
        return
    for domain in facts.domains:
        count = max(len(vf_nics(domain.live)), len(vf_nics(domain.config)))
        if count > USUAL_LIMIT:
            yield Finding(
                "problem" if count > HARD_LIMIT else "warning",
                "too-many-vfs-in-guest",
                f"guest {domain.name}",
                f"{domain.name} has {count} VFs.",
                f"Distributions support {USUAL_LIMIT} host devices per guest, and RHEL's QEMU starts no guest with "
                f"more than {HARD_LIMIT}.",
                "Take some away.",
            )


def check_bridges(facts: Facts) -> Found:
    """What can't work: frames of other machines behind a VF. A card delivers to a VF only what is for its own MAC and
    drops what comes from another one (spoofchk); there is no promiscuous mode for VFs that aren't trusted."""
    for pf in facts.pfs:
        for vf in pf.vfs:
            masters = [use.detail for use in vf.uses if use.kind == "master"]
            if masters:
                yield Finding(
                    "warning",
                    "vf-in-bridge",
                    vf.netdev or f"{pf.netdev} VF {vf.index}",
                    f"VF {vf.index} of {pf.netdev} ({vf.netdev}) is a port of {', '.join(masters)}.",
                    "The card gives a VF only frames for its own MAC, so nothing behind a bridge on it gets answers.",
                    "Bridge on the PF or on a veth, and give guests VFs of their own.",
                )
    held = sorted({domain.name for domain in facts.domains if domain.running and vf_nics(domain.live)})
    if held:
        yield Finding(
            "note",
            "no-bridge-in-guest",
            "guests with VFs",
            f"A Linux bridge inside a guest can't have its VF as a port ({', '.join(held)}).",
            "The card gives a VF only frames for the VF's own MAC, and spoofchk drops frames from any other.",
            "For nested guests or containers use routing, macvlan in passthru mode, or a virtio NIC beside the VF.",
        )
