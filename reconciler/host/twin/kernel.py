"""What the kernel makes of writes to a PF: number of VFs, link, MTU, autoprobe.

Sources: drivers/pci/iov.c (sriov_numvfs_store, pci_iov_virtfn_bus), net/core/dev.c; times were measured on igb.
"""

from __future__ import annotations

import contextlib
import errno

from reconciler.drivers.facts import CHECKED, PLAIN, DriverFacts
from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Vf
from reconciler.host.twin import modules
from reconciler.host.twin.errors import Hangs, kernel_error
from reconciler.host.twin.macs import generated_mac
from reconciler.host.twin.state import Card, Twin
from reconciler.state.desired import Attributes

_CARRIER = 2.0
"""Seconds from up to carrier; 1 to 3 were seen."""
_CREATE, _PER_VF, _REMOVE = 0.5, 0.07, 1.0
"""Seconds: sriov_enable sleeps at least 0.1 s, sriov_disable at least 1 s; 7 VFs took 0.8 to 1.5 s."""
_LEAST_MTU = 68


def pf_of(twin: Twin, identity: str) -> Pf:
    """The PF; ENODEV when its card is gone."""
    pf = twin.pfs.get(identity)
    if pf is None:
        raise kernel_error(errno.ENODEV)
    return pf


def known(pf: Pf) -> DriverFacts:
    """The facts of its driver."""
    return facts(pf.driver, pf.device_id)


def answers(twin: Twin, pf: Pf) -> None:
    """Raises `Hangs` while another write to the PF's sysfs holds the device's lock."""
    if twin.cards[pf.id].hangs:
        raise Hangs


def set_numvfs(twin: Twin, identity: str, count: int) -> float:
    """A write to ``sriov_numvfs``; returns the seconds that it takes. Raises OSError in the kernel's order of checks,
    or `Hangs`."""
    pf = pf_of(twin, identity)
    answers(twin, pf)
    driver, before = known(pf), len(pf.vfs)
    if count < 0 or count > 0xFFFF:
        raise kernel_error(errno.EINVAL)
    if pf.total_vfs is not None and count > pf.total_vfs:
        raise kernel_error(errno.ERANGE)
    if count == before:
        return 0.0
    if pf.driver is None or not driver.count.writable:
        raise kernel_error(errno.ENOENT)
    if before and count:
        raise kernel_error(errno.EBUSY)
    if count:
        return _create(twin, pf, driver, count)
    return remove_vfs(twin, pf)


def _create(twin: Twin, pf: Pf, driver: DriverFacts, count: int) -> float:
    rules = driver.count
    if pf.up is False and rules.down == "refused":
        raise kernel_error(errno.EINVAL)
    if pf.up is False and rules.down == "none-made":
        return 0.1
    bounds = [bound for bound in (rules.limit, twin.cards[pf.id].max_vfs) if bound is not None]
    if bounds and count > min(bounds):
        if rules.error:
            raise kernel_error(rules.error)
        count = min(bounds)
    add_vfs(twin, pf, count)
    if rules.bounces_pf:
        reinit(twin, pf, f"making VFs re-initialises {pf.netdev}")
    modules.new_vfs(twin, pf)
    return _CREATE + _PER_VF * count


def add_vfs(twin: Twin, pf: Pf, count: int) -> None:
    """Makes VFs, with what their driver gives them to begin with and what it remembers of earlier ones."""
    driver, card = known(pf), twin.cards[pf.id]
    for index in range(count):
        vf = Vf(index, vf_address(pf, index), attributes=fresh(pf, driver, index))
        if vf.address is not None and twin.iommu:
            vf.iommu_group = _free_group(twin)
        vf.attributes = {**fresh(pf, driver, index), **card.survivors.pop(index, {})}
        pf.vfs.append(vf)
    pf.num_vfs = count


def remove_vfs(twin: Twin, pf: Pf) -> float:
    """Takes all VFs away, lowest index first (sriov_del_vfs). Nobody is asked: a guest that answers loses its NIC, and
    for one that doesn't the write waits for ever (vfio_unregister_group_dev), with the VFs before it gone already."""
    driver, card = known(pf), twin.cards[pf.id]
    for vf in list(pf.vfs):
        try:
            modules.take_device(twin, vf)
        except Hangs:
            card.hangs = "removal"
            raise
        card.survivors[vf.index] = {
            name: value for name, value in (vf.attributes or {}).items() if name in driver.survives
        }
        twin.forget({"netdev", "name", "vf-ready"}, pf.id, vf.index)
        pf.vfs.remove(vf)
        pf.num_vfs = len(pf.vfs)
    for listed in (card.resetting, card.own_macs, card.bound_by_libvirt):
        listed.clear()
    if driver.count.bounces_pf:
        reinit(twin, pf, f"removing VFs re-initialises {pf.netdev}")
    return _REMOVE


def go_on(twin: Twin, pf: Pf) -> None:
    """What hung goes on by itself when the one that it waited for has let go."""
    card = twin.cards[pf.id]
    if card.hangs == "removal":
        card.hangs = ""
        with contextlib.suppress(Hangs):  # The next VF that somebody holds.
            remove_vfs(twin, pf)
    elif card.hangs == "unbind":
        card.hangs = ""


def vf_address(pf: Pf, index: int) -> str | None:
    """PCI address by routing id: the PF's + offset + stride x index (pci_iov_virtfn_bus, pci_iov_virtfn_devfn)."""
    if pf.bus != "pci":
        return None
    domain, bus, rest = pf.device.split(":")
    slot, function = rest.split(".")
    own = int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)
    routing = own + (pf.offset or 0) + (pf.stride or 0) * index
    return f"{domain}:{routing >> 8:02x}:{routing >> 3 & 0x1F:02x}.{routing & 7:x}"


def fresh(pf: Pf, driver: DriverFacts, index: int) -> Attributes:
    """What a VF has that was just made. A driver that generates MACs leaves it out of the table."""
    base = driver.fresh if driver.fresh is not None else (PLAIN if driver.known else CHECKED)
    attributes = {**base}
    attributes.setdefault("mac", generated_mac(f"{pf.id}/{index}"))
    if driver.known and "query_rss" not in driver.lacks:
        attributes.setdefault("query_rss", False)
    return attributes


def _free_group(twin: Twin) -> int:
    used = {vf.iommu_group for pf in twin.pfs.values() for vf in pf.vfs}
    return next(number for number in range(40, 100_000) if number not in used)


def set_link(twin: Twin, identity: str, up: bool) -> float:
    """``ip link set DEV up|down``."""
    pf, card = pf_of(twin, identity), twin.cards[identity]
    if pf.up == up:
        return 0.0
    pf.up, pf.carrier, pf.speed = up, False if up else None, None
    card.reinit = ""
    twin.forget({"carrier"}, pf.id)
    if up:
        twin.later(_CARRIER, "carrier", pf.id)
    return 0.1


def carrier(twin: Twin, pf: Pf) -> None:
    """The link comes, if there is a cable. A changed speed takes rates away on some drivers
    (igb_check_vf_rate_limit, ixgbe_check_vf_rate_limit)."""
    card = twin.cards[pf.id]
    if not pf.up or not card.cable:
        return
    pf.carrier, pf.speed, card.reinit = True, card.speed, ""
    if known(pf).speed_change_clears_rate and card.rates_set_at not in (None, card.speed):
        card.rates_set_at = None
        for vf in pf.vfs:
            if vf.attributes and "max_tx_rate" in vf.attributes:
                vf.attributes["max_tx_rate"] = 0


def set_cable(twin: Twin, pf: Pf, plugged: bool, speed: int | None = None) -> None:
    """Somebody puts the cable in, into a port of this speed (Mbit/s), or takes it out."""
    card = twin.cards[pf.id]
    card.cable = plugged
    if speed is not None:
        card.speed = speed
    twin.forget({"carrier"}, pf.id)
    if pf.up:
        pf.carrier, pf.speed = False, None
        if plugged:
            twin.later(_CARRIER, "carrier", pf.id)


def set_mtu(twin: Twin, identity: str, mtu: int) -> float:
    """``ip link set DEV mtu N``."""
    pf = pf_of(twin, identity)
    if not _LEAST_MTU <= mtu <= twin.cards[identity].max_mtu:
        raise kernel_error(errno.EINVAL)
    if pf.mtu == mtu:
        return 0.0
    pf.mtu = mtu
    if known(pf).mtu_bounces_pf:
        reinit(twin, pf, f"setting the MTU re-initialises {pf.netdev}")
    return 0.1


def rename(twin: Twin, identity: str, name: str) -> float:
    """``ip link set DEV name NAME``, which also an interface that is up takes since 6.2 (dev_change_name)."""
    pf = pf_of(twin, identity)
    if not 0 < len(name) < 16 or not name.isprintable() or {*" /:"} & {*name} or name in (".", ".."):
        raise kernel_error(errno.EINVAL)
    if any(name in (other.netdev, *other.altnames) for other in twin.pfs.values() if other is not pf):
        raise kernel_error(errno.EEXIST)
    pf.netdev = name
    return 0.0


def reinit(twin: Twin, pf: Pf, why: str) -> None:
    """The driver closes and opens the PF: its link is away for a moment, and its VFs' with it."""
    if not pf.up:
        return
    card: Card = twin.cards[pf.id]
    pf.carrier, pf.speed, card.reinit = False, None, why
    twin.forget({"carrier"}, pf.id)
    twin.later(_CARRIER, "carrier", pf.id)


def set_autoprobe(twin: Twin, identity: str, enabled: bool) -> float:
    """``sriov_drivers_autoprobe``, which takes no lock; ENOENT on a bus that doesn't have it."""
    pf = pf_of(twin, identity)
    if pf.autoprobe is None:
        raise kernel_error(errno.ENOENT)
    pf.autoprobe = enabled
    return 0.0


def pull(twin: Twin, pf: Pf) -> None:
    """The card is taken out of the running machine, or fell off its bus."""
    for vf in list(pf.vfs):
        try:
            modules.take_device(twin, vf)
        except Hangs:
            modules.lose_device(twin, vf)
        pf.vfs.remove(vf)
    del twin.pfs[pf.id], twin.cards[pf.id]
    twin.events = [event for event in twin.events if event.key != pf.id]
