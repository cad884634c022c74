"""What libvirt does with guests and their VFs: start, stop, hot-plug, and its saving and restoring of MAC and VLAN.

Sources: src/hypervisor/virhostdev.c (virHostdevPreparePCIDevicesImpl), src/util/virnetdev.c (virNetDevSaveNetConfig,
virNetDevSetVfConfig, virNetDevRestoreNetConfig), src/qemu/qemu_hotplug.c; the messages are libvirt 11.3's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace

from reconciler.host.buses import removable
from reconciler.host.model import Domain, Nic, PciBus, Pf, Vf
from reconciler.host.protocol import NicMatch, NicSpec
from reconciler.host.twin import kernel, macs, modules, networks
from reconciler.host.twin.attributes import set_attributes
from reconciler.host.twin.errors import LibvirtRefused, internal, invalid, unsupported, xml_error
from reconciler.host.twin.losses import nic_key
from reconciler.host.twin.state import Guest, Twin
from reconciler.state.desired import ZERO_MAC, Attributes

_SHUTDOWN = 2.0
"""Seconds until a guest has shut down."""
_RESTART = 3.0
"""Seconds until libvirt answers again after a restart."""
_ASK_AGAIN = 5.0
"""Seconds in which QEMU takes no second request (pcie_cap_slot_unplug_request_cb in its hw/pci/pcie.c)."""
_ALT_ZERO = "02:00:00:00:00:00"
"""altZeroMAC of virNetDevSetVfConfig: for drivers that refuse the zero MAC."""


def service(twin: Twin, what: str) -> None:
    """``systemctl start|stop|restart libvirtd``: guests run on. What they give back meanwhile is known when it answers
    again, and its networks know anew who has their VFs (qemuProcessUpdateDevices and qemuProcessNotifyNets in
    src/qemu/qemu_process.c)."""
    twin.forget({"libvirt"}, "")
    twin.libvirt.available = what == "start"
    twin.libvirt.reason = "" if what == "start" else "Failed to connect socket to '/var/run/libvirt/libvirt-sock'"
    if what == "start":
        networks.reclaim(twin)
    if what == "restart":
        twin.later(_RESTART, "libvirt", "")


def domain_of(twin: Twin, name: str) -> Domain:
    """The domain."""
    domain = twin.libvirt.domains.get(name)
    if domain is None:
        raise LibvirtRefused(f"Domain not found: no domain with matching name '{name}'")
    return domain


def start(twin: Twin, name: str) -> None:
    """``virsh start``: all its VFs, or none."""
    domain = domain_of(twin, name)
    if domain.running:
        raise invalid("domain is already running")
    live: list[Nic] = []
    try:
        for nic in domain.config:
            live.append(_prepared(twin, domain, nic))
    except LibvirtRefused:
        for nic in live:
            _give_back(twin, domain, nic)
        raise
    domain.live, domain.running = live, True
    guest = twin.guest(name)
    guest.define_slots(guest.slots_to_come, running=False)
    guest.unplugging.clear()


def stop(twin: Twin, name: str) -> None:
    """``virsh destroy``, or the guest has shut down: its VFs are given back."""
    domain = domain_of(twin, name)
    if not domain.running:
        raise invalid("domain is not running")
    twin.forget({"unplug", "ask-again", "off"}, name)
    nics, domain.live, domain.running = domain.live, [], False
    guest = twin.guest(name)
    guest.define_slots(guest.slots_to_come, running=False)
    guest.unplugging.clear()
    for nic in nics:
        _give_back(twin, domain, nic)
    if not domain.persistent:
        del twin.libvirt.domains[name]
    for pf in list(twin.pfs.values()):
        kernel.go_on(twin, pf)


def shutdown(twin: Twin, name: str) -> None:
    """``virsh shutdown``: only asks."""
    if not domain_of(twin, name).running:
        raise invalid("domain is not running")
    if twin.guest(name).answers:
        twin.later(_SHUTDOWN, "off", name)


def undefine(twin: Twin, name: str) -> None:
    """``virsh undefine``: a domain that runs is transient from then on (qemuDomainUndefineFlags)."""
    domain = domain_of(twin, name)
    if not domain.persistent:
        raise invalid("cannot undefine transient domain")
    if domain.running:
        domain.persistent, domain.autostart, domain.config = False, False, []
        return
    del twin.libvirt.domains[name]
    twin.guests.pop(name, None)


def rename(twin: Twin, name: str, new: str) -> None:
    """``virsh domrename``: only of a domain that is off; it keeps its UUID (qemuDomainRename)."""
    domain = domain_of(twin, name)
    if domain.running:
        raise invalid("cannot rename active domain")
    if new in twin.libvirt.domains:
        raise invalid(f"domain with name '{new}' already exists")
    domain.name = new
    twin.libvirt.domains = {item.name: item for item in twin.libvirt.domains.values()}
    if name in twin.guests:
        twin.guests[new] = twin.guests.pop(name)


def attach(twin: Twin, name: str, spec: NicSpec, *, live: bool, config: bool) -> None:
    """``attach-device``: the definition is checked first and saved last, so that a refusal changes nothing. Whether the
    other half of a pair is there is not asked (libvirt 11.3 with QEMU takes a <teaming> that names nothing)."""
    domain = domain_of(twin, name)
    if live and not domain.running:
        raise invalid("domain is not running")
    if config and not domain.persistent:
        raise invalid("transient domains do not have any persistent config")
    nic = _nic(twin, name, spec)
    if config:
        _check_new(domain.config, nic)
    if live:
        _check_alias(domain.live, nic)
        guest = twin.guest(name)
        if ports_taken(domain.live) >= guest.slots:
            raise internal("No more available PCI slots")
        domain.live.append(_prepared(twin, domain, nic))
    if config:
        domain.config.append(nic)
        _make_room(twin, domain)


def _make_room(twin: Twin, domain: Domain) -> None:
    """A definition always has a port for each of its cards (qemuDomainAssignPCIAddresses)."""
    guest, taken = twin.guest(domain.name), ports_taken(domain.config)
    if taken > guest.slots_to_come:
        guest.define_slots(taken, running=domain.running)


def ports_taken(nics: list[Nic]) -> int:
    """How many PCIe root ports these have."""
    return sum(nic.method != "other" or nic.teaming == "persistent" for nic in nics)


def add_root_ports(twin: Twin, name: str, free: int) -> None:
    """More ports in the definition, if it lacks any to so many free ones."""
    domain, guest = _with_ports(twin, name), twin.guest(name)
    guest.define_slots(max(guest.slots_to_come, ports_taken(domain.config) + free), running=domain.running)


def drop_root_ports(twin: Twin, name: str, keep: Sequence[int]) -> None:
    """Free ports that are not to be kept go."""
    domain, guest = _with_ports(twin, name), twin.guest(name)
    gone = removable(buses(domain, guest), keep)
    guest.define_slots(guest.slots_to_come - len(gone), running=domain.running)


def _with_ports(twin: Twin, name: str) -> Domain:
    domain = domain_of(twin, name)
    if not domain.persistent:
        raise invalid("transient domains do not have any persistent config")
    return domain


def buses(domain: Domain, guest: Guest) -> list[PciBus]:
    """The root ports of its definition, the taken ones first."""
    taken = ports_taken(domain.config)
    return [PciBus(index, free=index > taken) for index in range(1, guest.slots_to_come + 1)]


def detach(twin: Twin, name: str, match: NicMatch, *, live: bool, config: bool) -> None:
    """Asks for a NIC to be taken out, as the writer does: one that is gone already, or asked for already, is fine. By
    its alias libvirt doesn't wait for the guest (virDomainDetachDeviceAlias)."""
    domain = domain_of(twin, name)
    nic = find_nic(domain.live, match) if live and domain.running else None
    if nic is not None:
        ask_for(twin, name, nic)
    if config:
        gone = find_nic(domain.config, match)
        domain.config = [item for item in domain.config if item is not gone]


def ask_for(twin: Twin, name: str, nic: Nic) -> bool:
    """The guest is asked to give a NIC back; false when it is being asked already."""
    guest, key = twin.guest(name), nic_key(nic)
    if key in guest.unplugging:
        return False
    guest.unplugging.append(key)
    if guest.answers:
        twin.later(guest.answers_after, "unplug", name, nic=key)
    else:
        twin.later(_ASK_AGAIN, "ask-again", name, nic=key)
    return True


def unplugged(twin: Twin, name: str, key: str) -> None:
    """The guest has answered (DEVICE_DELETED)."""
    domain, guest = domain_of(twin, name), twin.guest(name)
    guest.unplugging = [item for item in guest.unplugging if item != key]
    nic = next((item for item in domain.live if nic_key(item) == key), None)
    if nic is not None:
        domain.live.remove(nic)
        _give_back(twin, domain, nic)


def update(twin: Twin, name: str, match: NicMatch, spec: NicSpec) -> bool:
    """Replaces a NIC in the definition; false if it isn't there."""
    domain = domain_of(twin, name)
    old = find_nic(domain.config, match)
    if old is None:
        return False
    new = _nic(twin, name, spec)
    if spec.mac is None and spec.method != "hostdev" and old.mac:
        new.mac = old.mac
    if spec.standby is None:
        new.teaming, new.partner = old.teaming, old.partner
    domain.config = [new if item is old else item for item in domain.config]
    return True


def find_nic(nics: list[Nic], match: NicMatch) -> Nic | None:
    """By alias, else by MAC, else by PCI address; of a failover pair the VF is meant."""
    for wanted, key in ((match.alias, "alias"), (match.mac, "mac"), (match.vf_address, "vf_address")):
        found = [nic for nic in nics if wanted and getattr(nic, key) == wanted]
        if found:
            return min(found, key=lambda nic: nic.method == "other")
    return None


def _nic(twin: Twin, domain: str, spec: NicSpec) -> Nic:
    """The device as it then stands in the XML: a user alias only, a MAC always, except in a plain hostdev."""
    hostdev = spec.method == "hostdev"
    if spec.mac is not None and int(spec.mac[:2], 16) & 1:
        raise xml_error(f"expected unicast mac address, found multicast '{spec.mac}'")
    if spec.method == "bridge":
        return Nic("other", spec.alias, spec.mac, bridge=spec.bridge, teaming="persistent")
    return Nic(
        spec.method,
        alias=spec.alias if spec.alias.startswith("ua-") else None,
        mac=None if hostdev else (spec.mac or f"52:54:00:{macs.generated_mac(f'{domain}/{spec.alias}')[9:]}"),
        vf_address=spec.vf_address,
        pool=spec.pool,
        vlan=0 if hostdev else spec.vlan or 0,
        teaming="transient" if spec.standby else "",
        partner=spec.standby or None,
    )


def _check_new(nics: list[Nic], new: Nic) -> None:
    if new.vf_address is not None and any(nic.vf_address == new.vf_address for nic in nics):
        raise xml_error("Hostdev already exists in the domain configuration")
    _check_alias(nics, new)


def _check_alias(nics: list[Nic], new: Nic) -> None:
    if new.alias is not None and any(nic.alias == new.alias for nic in nics):
        raise internal(f"non unique alias detected: {new.alias}")


def _prepared(twin: Twin, domain: Domain, nic: Nic) -> Nic:
    """The live device: its VF chosen, kept from the host, and set."""
    if nic.method == "other":
        _check_bridge(twin, nic)
        return replace(nic)
    live = replace(nic, alias=nic.alias or f"hostdev{len(domain.live)}")
    if nic.method == "pool":
        live.vf_address = networks.allocate(twin, domain.name, nic)
    try:
        _prepare(twin, domain, live)
    except LibvirtRefused:
        networks.free(twin, domain.name, live)
        raise
    return live


def _check_bridge(twin: Twin, nic: Nic) -> None:
    """virNetDevGetMTU, the first thing that is asked of a bridge."""
    if nic.bridge is not None and nic.teaming and nic.bridge not in twin.bridges:
        raise LibvirtRefused(f"Cannot get interface MTU on '{nic.bridge}': No such device")


def set_bridge(twin: Twin, name: str, alias: str, bridge: str, *, live: bool, config: bool) -> bool:
    """update-device; false if there is no such NIC on a bridge."""
    domain = domain_of(twin, name)
    for wanted, nics in ((live and domain.running, domain.live), (config, domain.config)):
        nic = next((nic for nic in nics if nic.alias == alias and nic.bridge is not None), None) if wanted else None
        if wanted and nic is None:
            return False
        if nic is not None:
            _check_bridge(twin, replace(nic, bridge=bridge if nics is domain.live else None))
            nic.bridge = bridge
    return True


def _prepare(twin: Twin, domain: Domain, nic: Nic) -> None:
    found = twin.find(nic.vf_address)
    if found is None and nic.method == "interface":
        raise unsupported("Interface type hostdev is currently supported on SR-IOV Virtual Functions only")
    if found is None:
        raise internal(
            f"Device {nic.vf_address} not found: could not access /sys/bus/pci/devices/"
            f"{nic.vf_address}/config: No such file or directory"
        )
    pf, vf = found
    if vf.iommu_group is None:
        raise unsupported("host doesn't support passthrough of host PCI devices")
    for device in [vf, *_group_of(twin, vf)]:
        others = [guest.name for guest, _ in modules.guests_of(twin, device.address)]
        if others and (device is vf or domain.name not in others):
            raise invalid(f"PCI device {device.address} is in use by driver QEMU, domain {others[0]}")
    if modules.holders(twin, vf):
        raise internal(
            f"qemu unexpectedly closed the monitor: vfio {vf.address}: failed to open /dev/vfio/"
            f"{vf.iommu_group}: Device or resource busy"
        )
    if nic.method != "hostdev":
        _save(pf, vf)
    _to_vfio(twin, pf, vf)
    macs.reset(twin, pf, vf)
    if nic.method == "hostdev":
        if twin.guest(domain.name).answers:
            macs.made_up(twin, pf, vf)
        return
    try:
        _set(twin, pf, vf, nic.mac or ZERO_MAC, nic.vlan)
    except LibvirtRefused:
        _release(twin, pf, vf, restore=True)
        raise


def _group_of(twin: Twin, vf: Vf) -> list[Vf]:
    """The other VFs of its IOMMU group, which only one guest may have (virHostdevIsPCINodeDeviceUsed)."""
    return [
        other for pf in twin.pfs.values() for other in pf.vfs if other.iommu_group == vf.iommu_group and other is not vf
    ]


def _save(pf: Pf, vf: Vf) -> None:
    """MAC and VLAN as they were. The MAC of the VF's netdev on the host, if it has one, goes before the PF's."""
    if not pf.up:
        raise internal(
            f"Unable to configure VF {vf.index} of PF '{pf.netdev}' because the PF is not online. "
            "Please change host network config to put the PF online."
        )
    attributes = vf.attributes or {}
    vf.saved = {"vlan": attributes.get("vlan", 0)}
    mac = attributes.get("mac", ZERO_MAC)
    if vf.netdev is not None and mac == ZERO_MAC:
        mac = macs.generated_mac(f"netdev {vf.address}")  # The VF's driver made one up.
    vf.saved["mac"] = mac


def _to_vfio(twin: Twin, pf: Pf, vf: Vf) -> None:
    if not modules.is_loaded(twin, modules.VFIO):
        modules.load(twin, modules.VFIO)
    if vf.driver == modules.VFIO:
        return  # It was bound beforehand, and stays so afterwards.
    modules.drop_driver(twin, pf, vf)
    vf.driver = vf.driver_override = modules.VFIO
    twin.cards[pf.id].bound_by_libvirt.append(vf.index)


def _set(twin: Twin, pf: Pf, vf: Vf, mac: str, vlan: int) -> None:
    """The VLAN is always written, 0 as well, and with it no priority and 802.1Q."""
    wanted: list[tuple[str, str, Attributes]] = [
        ("MAC", mac, {"mac": mac}),
        ("vlanid", str(vlan), {"vlan": vlan, "qos": 0, "vlan_proto": "802.1Q"}),
    ]
    for what, value, attributes in wanted:
        try:
            set_attributes(twin, pf.id, vf.index, attributes, patient=True)
        except OSError as error:
            raise LibvirtRefused(
                f"Cannot set interface {what} to {value} for ifname {pf.netdev} vf {vf.index}: "
                f"{os.strerror(error.errno or 0)}"
            ) from error


def _give_back(twin: Twin, domain: Domain, nic: Nic) -> None:
    networks.free(twin, domain.name, nic)
    found = twin.find(nic.vf_address)
    if found is not None and nic.method != "other":
        _release(twin, *found, restore=nic.method != "hostdev")


def _release(twin: Twin, pf: Pf, vf: Vf, *, restore: bool) -> None:
    """MAC and VLAN are put back; what else the VF has stays with it. Then the host's driver may take it."""
    macs.reset(twin, pf, vf)
    if restore:
        saved = vf.saved or {}
        mac, vlan = str(saved.get("mac", ZERO_MAC)), int(saved.get("vlan", 0))
        for candidate in (mac, _ALT_ZERO) if mac == ZERO_MAC else (mac,):
            # A failure to restore is only logged.
            with contextlib.suppress(LibvirtRefused):
                _set(twin, pf, vf, candidate, vlan)
                break
        vf.saved = None
    bound = twin.cards[pf.id].bound_by_libvirt
    if vf.index in bound:
        bound.remove(vf.index)
        vf.driver_override = None
        modules.drop_driver(twin, pf, vf)
        modules.probe(twin, pf, vf)
