"""Which guests with VFs can be migrated while they run: those whose VFs have a virtio NIC that stands in for them."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding
from reconciler.doctor.facts import Facts, Found, vf_nics
from reconciler.host.model import Domain, Nic
from reconciler.kinds.holders import vfs_by_address
from reconciler.state.address import address


def check_failover(facts: Facts) -> Found:
    """libvirt refuses to migrate a guest with a VF unless that is one of a pair (<teaming>), or bound to a driver that
    can save its state, like mlx5_vfio_pci (qemuMigrationSrcIsAllowedHostdev)."""
    if not facts.wants_guests:
        return
    stuck: list[str] = []
    for domain in sorted(facts.domains, key=lambda domain: domain.name):
        nics = domain.live if domain.running else domain.config
        broken = [text for nic in vf_nics(nics) if (text := _broken(facts, nic, nics))]
        broken += [_name(nic) + " stands in for no VF" for nic in nics if _is_left(nic, nics)]
        if broken:
            yield _not_whole(facts, domain, broken)
        single = [nic for nic in vf_nics(nics) if nic.partner is None and not _saves_its_state(facts, nic)]
        others = _other_devices(domain, nics)
        if single:
            stuck.append(f"{domain.name} ({', '.join(_name(nic) for nic in single)})")
        elif vf_nics(nics) and not broken and any(nic.partner for nic in nics):
            told = "its VFs don't stand in the way of a migration while it runs, if its virtio_net knows failover"
            told += f"; {others} of the host that it has may" if others else ""
            yield Checked("live migration", f"{domain.name}: {told}")
    if stuck:
        yield Finding(
            "note",
            "no-live-migration",
            "guests with VFs",
            f"Guests with VFs that nothing stands in for can't be migrated while they run: {', '.join(stuck)}.",
            "libvirt refuses it, and to save them or take a snapshot of their memory, as long as they have the VF.",
            'Declare failover = { bridge = "br0" } on these NICs, or move the guests while they are off.',
        )


def _not_whole(facts: Facts, domain: Domain, broken: list[str]) -> Finding:
    declared = facts.desired is not None and domain.name in facts.desired.domains
    where = address("domain", domain.name) if declared else ""
    return Finding(
        "warning",
        "failover-broken",
        f"guest {domain.name}",
        f"Of {domain.name}, {'; '.join(broken)}.",
        "The guest can't fail over to the virtio NIC, and loses its network when it is migrated, or can't be migrated.",
        "Declare failover on the NIC and apply, or put <teaming> of both halves right, with the same MAC.",
        where,
        facts.line(where),
    )


def _broken(facts: Facts, nic: Nic, nics: list[Nic]) -> str:
    """What is wrong with the pair of a VF, "" if nothing is or it is in none."""
    if nic.partner is None:
        return ""
    standby = next((other for other in nics if other.alias == nic.partner), None)
    if standby is None or standby.teaming != "persistent":
        return f"{_name(nic)} names {nic.partner}, which is {'not there' if standby is None else 'no half of a pair'}"
    mac = nic.mac or _admin_mac(facts, nic)
    if mac is not None and mac != standby.mac:
        return f"{_name(nic)} has the MAC {mac} and {nic.partner} has {standby.mac}"
    if standby.bridge is not None and facts.host.bridges is not None and standby.bridge not in facts.host.bridges:
        return f"{nic.partner} is on the bridge {standby.bridge}, which the host doesn't have"
    return ""


def _other_devices(domain: Domain, nics: list[Nic]) -> str:
    """Devices of the host that a guest has and that are no VFs, "" if there are none. A pool's NIC has a VF, and counts
    as one, only while the guest runs."""
    if domain.hardware is None:
        return ""
    count = domain.hardware.hostdevs - sum(nic.method != "pool" or domain.running for nic in vf_nics(nics))
    return "" if count < 1 else "another PCI device" if count == 1 else f"{count} other PCI devices"


def _is_left(nic: Nic, nics: list[Nic]) -> bool:
    return nic.teaming == "persistent" and not any(other.partner == nic.alias for other in nics)


def _admin_mac(facts: Facts, nic: Nic) -> str | None:
    found = vfs_by_address(facts.host).get(nic.vf_address or "")
    vf = facts.host.pfs[found[0]].vf(found[1]) if found is not None else None
    mac = ((vf.attributes if vf is not None else None) or {}).get("mac")
    return None if mac is None else str(mac)


def _saves_its_state(facts: Facts, nic: Nic) -> bool:
    found = vfs_by_address(facts.host).get(nic.vf_address or "")
    vf = facts.host.pfs[found[0]].vf(found[1]) if found is not None else None
    driver = (vf.driver if vf is not None else None) or ""
    return "vfio" in driver and driver != "vfio-pci"


def _name(nic: Nic) -> str:
    return nic.alias or nic.mac or nic.vf_address or "a NIC"
