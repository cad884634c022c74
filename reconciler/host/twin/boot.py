"""What a reboot leaves: no VFs, other modules, guests and networks that start by themselves, once.

Sources: drivers/pci/iov.c (VFs are made by nobody but a write), src/util/virutil.c (virDriverShouldAutostart: once per
boot, since libvirt 5.9).
"""

from __future__ import annotations

import uuid

from reconciler.host.twin import cmdline, hugepages, kernel, libvirt, modules, networks, services
from reconciler.host.twin.errors import LibvirtRefused
from reconciler.host.twin.state import Twin

_SECONDS = 60.0
_DEFAULT_MTU = 1500


def reboot(twin: Twin) -> None:
    """Everything goes down and comes up again; returns when libvirt has started what starts by itself. Ports that the
    host uses itself (an address, a route, a bridge) are configured by it again, others stay down."""
    twin.clock += _SECONDS
    twin.boots += 1
    twin.host.boot_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{twin.host.machine_id} boot {twin.boots}"))
    twin.events.clear()
    twin.users.clear()
    modules.blacklist_until_reboot(twin, [])
    _stop_all(twin)
    cmdline.reboot(twin)
    hugepages.reboot(twin)
    for pf in twin.pfs.values():
        card = twin.cards[pf.id]
        card.survivors.clear()
        for listed in (card.resetting, card.own_macs, card.bound_by_libvirt):
            listed.clear()
        card.hangs, card.reinit, card.rates_set_at = "", "", None
        made_by_firmware = len(pf.vfs) if not kernel.known(pf).count.writable else 0
        pf.vfs, pf.num_vfs = [], 0
        if pf.autoprobe is not None:
            pf.autoprobe = True
        if not pf.uses:
            pf.up, pf.carrier, pf.speed, pf.mtu = False, None, None, _DEFAULT_MTU
        else:
            kernel.carrier(twin, pf)
        kernel.add_vfs(twin, pf, made_by_firmware)
    libvirt.service(twin, "start")
    services.reboot(twin)
    _load_modules(twin)
    for pf in twin.pfs.values():
        modules.new_vfs(twin, pf)
    _autostart(twin)


def _stop_all(twin: Twin) -> None:
    known = twin.libvirt
    known.domains = {name: domain for name, domain in known.domains.items() if domain.persistent}
    known.networks = {name: network for name, network in known.networks.items() if network.persistent}
    for domain in known.domains.values():
        domain.running, domain.live = False, []
        twin.guest(domain.name).unplugging.clear()
    for network in known.networks.values():
        network.active, network.live_addresses, network.ports = False, [], []


def _load_modules(twin: Twin) -> None:
    """Modules of VF drivers and VFIO are loaded when somebody wants them; the rest as before."""
    wanted_later = {modules.canonical(modules.vf_driver(pf) or "") for pf in twin.pfs.values()}
    wanted_later |= {modules.canonical(modules.VFIO), "vfio_pci_core", "vfio", "vfio_iommu_type1"}
    driving = {modules.canonical(pf.driver or "") for pf in twin.pfs.values()}
    twin.modules.loaded = [name for name in twin.modules.loaded or [] if name in driving or name not in wanted_later]
    for name in [*(entry.module for entry in twin.modules.load or []), *(twin.modules.own_load or [])]:
        if name in twin.installed and not modules.blacklisted(twin, name):
            modules.load(twin, name)


def _autostart(twin: Twin) -> None:
    """Networks first, then guests; what fails is only logged, and not tried again."""
    for network in list(twin.libvirt.networks.values()):
        if network.autostart:
            try:
                networks.start(twin, network.name)
            except LibvirtRefused as error:
                twin.log.append(f"boot {twin.boots}: network {network.name} did not start by itself: {error}")
    for domain in list(twin.libvirt.domains.values()):
        if domain.autostart:
            try:
                libvirt.start(twin, domain.name)
            except LibvirtRefused as error:
                twin.log.append(f"boot {twin.boots}: domain {domain.name} did not start by itself: {error}")
