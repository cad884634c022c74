"""The cards: whether they can make VFs, whether they are up, and which driver takes their VFs."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, FindingSeverity, Unchecked
from reconciler.doctor.facts import Facts, Found
from reconciler.drivers.table import facts as driver_facts
from reconciler.host.model import Pf
from reconciler.host.platform import CapableDevice


def check_capability(facts: Facts) -> Found:
    """Cards that could make VFs and can't here. Only with a file that names such a card, or without a file."""
    if facts.platform.capable is None and (facts.desired is None or len(facts.matched) < len(facts.desired.pfs)):
        yield Unchecked("cards", "whether there are cards that could make VFs and show no PF")
    for device in facts.platform.capable or []:
        if not device.attribute and _wanted(facts, device):
            yield Finding(
                "problem",
                "no-room-for-vfs",
                ", ".join(device.netdevs) or device.address,
                f"The card at {device.address} can make {device.total_vfs} VFs, and the kernel doesn't let it: "
                "it has no sriov_totalvfs.",
                "Either the firmware left no room for the VFs' memory, or the kernel lacks CONFIG_PCI_IOV.",
                "Switch on SR-IOV and Above 4G Decoding in the firmware's setup; else start the kernel with "
                "pci=realloc. `dmesg | grep -i -e sriov -e BAR` says what it was.",
            )
        elif device.attribute and device.driver is None and _wanted(facts, device):
            yield Finding(
                "problem",
                "card-without-driver",
                device.address,
                f"The card at {device.address} can make VFs and has no driver.",
                "Only the PF's driver makes VFs.",
                "`modprobe` the card's driver; if it is bound to vfio-pci, a guest has the whole card.",
            )
    for pf in facts.pfs:
        if pf.total_vfs == 0:
            yield Finding(
                "problem",
                "no-vfs-possible",
                pf.netdev,
                f"{pf.netdev} says that it can make 0 VFs (sriov_totalvfs).",
                "Its own firmware has SR-IOV switched off.",
                "Switch it on with the maker's tool (mlxconfig SRIOV_EN=1 NUM_OF_VFS=N, bnxtnvm, …) or in the card's "
                "setup at boot, then power-cycle.",
                facts.address(pf),
                facts.line(facts.address(pf)),
            )
        elif pf.total_vfs is None and pf.bus == "pci":
            yield Unchecked("cards", f"how many VFs {pf.netdev} can make")
        elif pf.total_vfs is not None:
            yield Checked("cards", f"{pf.netdev} ({pf.driver}): {_count(pf)}")


def _wanted(facts: Facts, device: CapableDevice) -> bool:
    if facts.desired is None:
        return True
    matches = [pf.match for pf in facts.desired.pfs.values()]
    return any(match.address == device.address or match.name in device.netdevs for match in matches)


def _count(pf: Pf) -> str:
    limit = driver_facts(pf.driver, pf.device_id).count.limit
    most = pf.total_vfs if limit is None or pf.total_vfs is None else min(pf.total_vfs, limit)
    return f"{pf.num_vfs or 0} of at most {most} VFs"


def check_link(facts: Facts) -> Found:
    """libvirt reads and sets a VF through its PF, and refuses while that is down (virNetDevSaveNetConfig); some drivers
    make no VFs then, which the plan tells. A problem if a guest of the file gets a VF so, and without a file if there
    are VFs; a link that the file sets up is only a note."""
    for pf in facts.pfs:
        address = facts.address(pf)
        link = facts.desired.pfs[address.removeprefix("pf.")].link if facts.desired and address else None
        needed = _needs_link(facts, address.removeprefix("pf.")) if address else bool(pf.num_vfs)
        if pf.up is None and link is None:
            yield Unchecked("links", f"whether {pf.netdev} is up")
        elif pf.up and link != "down":
            yield Checked("links", f"{pf.netdev} is up" + ("" if pf.carrier else ", without a carrier"))
        elif pf.up is False and link == "up":
            yield _down(facts, pf, "note", f"{pf.netdev} is down.", "`reconciler apply` sets it up.")
        elif link == "down" and needed:
            seen = f"The file declares {pf.netdev} down and has guests that get a VF of it."
            yield _down(facts, pf, "problem", seen, f'Declare link = "up" in {address}.')
        elif pf.up is False and link is None:
            severity: FindingSeverity = "problem" if needed else "note" if _plain(facts, pf) else "warning"
            todo = f'`ip link set {pf.netdev} up` now, and link = "up" in the state file for ever.'
            yield _down(facts, pf, severity, f"{pf.netdev} is down.", todo)


def _needs_link(facts: Facts, name: str) -> bool:
    """Whether libvirt is to give out VFs of this PF as interfaces: by a NIC, or by a pool."""
    if facts.desired is None:
        return False
    pools = [pool for pool in facts.desired.pools.values() if pool.state == "present"]
    nics = [nic for domain in facts.desired.domains.values() for nic in domain.nics.values()]
    nics = [nic for nic in nics if nic.state == "present" and nic.method == "interface"]
    return any(name == pool.pf or any(vf.pf == name for vf in pool.vfs) for pool in pools) or any(
        name in nic.pf or (nic.vf is not None and nic.vf.pf == name) for nic in nics
    )


def _plain(facts: Facts, pf: Pf) -> bool:
    """A PF that the file declares, and no VF of it."""
    address = facts.address(pf)
    desired = facts.desired.pfs[address.removeprefix("pf.")] if facts.desired and address else None
    return desired is not None and not (pf.num_vfs if desired.vfs is None else desired.vfs)


def _down(facts: Facts, pf: Pf, severity: FindingSeverity, seen: str, todo: str) -> Finding:
    why = 'libvirt refuses to give out a VF of it ("the PF is not online"), and its VFs have no link.'
    address = facts.address(pf)
    return Finding(severity, "pf-down", pf.netdev, seen, why, todo, address, facts.line(address))


def check_vf_driver(facts: Facts) -> Found:
    """A blacklist keeps a module from being loaded by itself; one that is loaded stays, and takes new VFs unless the
    PF's ``sriov_drivers_autoprobe`` is off."""
    modules = facts.host.modules
    blacklist = {
        entry.module: f"{entry.file}:{entry.line}" if entry.line else entry.file for entry in modules.blacklist or []
    }
    blacklist |= dict.fromkeys(modules.own or [], "reconciler's own file")
    declared = {name.replace("-", "_") for name in facts.desired.blacklist or ()} if facts.desired else set()
    for module, pfs in facts.vf_modules().items():
        if modules.blacklist is None or (modules.loaded is None and facts.platform.modules is None):
            yield Unchecked("VF driver", f"whether {module} is loaded, and whether it is blacklisted")
            continue
        state = "loaded" if module in (modules.loaded or []) else (facts.platform.modules or {}).get(module)
        where = blacklist.get(module, "the state file" if module in declared else "")
        if where and state in ("loaded", "builtin"):
            yield _loaded(facts, module, pfs, where, mended=module in declared and state == "loaded")
        elif where:
            yield Checked("VF driver", f"{module} is blacklisted ({where}) and not loaded")
        elif state in ("loaded", "builtin") and facts.wants_guests and _probes(facts, pfs):
            yield Finding(
                "note",
                "vf-driver-takes-vfs",
                f"module {module}",
                f"{module} is {state} and not blacklisted, so it takes each new VF of {', '.join(pfs)}.",
                "Each VF becomes an interface of the host until a guest takes it: that costs about a second per VF, "
                "and whatever configures the host's network may use it.",
                f'Declare blacklist = ["{module}"] and vf_driver = "none" in the state file.',
            )


def _probes(facts: Facts, netdevs: list[str]) -> bool:
    return any(pf.autoprobe is not False for pf in facts.pfs if pf.netdev in netdevs)


def _loaded(facts: Facts, module: str, pfs: list[str], where: str, *, mended: bool) -> Finding:
    bound = [vf.netdev or vf.address or "" for pf in facts.pfs for vf in pf.vfs if vf.driver == module]
    has = f" and has {len(bound)} VFs ({', '.join(bound[:4])}{', …' if len(bound) > 4 else ''})" if bound else ""
    return Finding(
        "note" if mended else "problem",
        "vf-driver-loaded",
        f"module {module}",
        f"{module} is blacklisted ({where}) and loaded all the same{has}.",
        f"A blacklist counts from the next boot; until then it takes each new VF of {', '.join(pfs)}.",
        "`reconciler apply` takes care of it."
        if mended
        else f"`rmmod {module}` if no other card needs it. If it is back after a reboot, it is in the initramfs: "
        "`update-initramfs -u` (dracut -f).",
        "modules.blacklist" if mended else "",
        facts.line("modules.blacklist") if mended else 0,
    )
