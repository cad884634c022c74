"""PFs and their VFs as sysfs shows them.

Nothing here reads ``sriov_numvfs`` of a PCI device: that takes the device's lock (drivers/pci/iov.c,
sriov_numvfs_show) and so waits for as long as a write to it hangs. The ``virtfnN`` links count as well.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from reconciler.host.local.child import read_files
from reconciler.host.model import Pf, Use, Vf
from reconciler.host.protocol import HostError
from reconciler.state.checks import is_pf

_VIRTFN = re.compile(r"virtfn(\d+)")
_REPRESENTOR = re.compile(r"(c\d+)?pf\d+[vs]f\d+")
"""phys_port_name of a representor port (devlink: net/devlink/port.c, __devlink_port_phys_port_name_get)."""
_QUIET = {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP}
"""Not there, or the driver has nothing to say: no reason for a note."""
_LOCKED_SECONDS = 3.0


class Sysfs:
    """Reads below ``ROOT/sys``; adds a note for what can't be read."""

    def __init__(self, root: Path, notes: list[str], unasked: Collection[str] = ()) -> None:
        self.sys = os.path.join(root, "sys")
        self.notes = notes
        self.unasked = unasked
        """Identities of PFs on which the kernel hangs, "" for all: what takes a lock is not read of them."""

    def pfs(self) -> dict[str, Pf]:
        """Every netdev whose device has ``sriov_numvfs``, one per device, by identity."""
        netdevs: dict[str, list[str]] = {}
        for name in self.names(f"{self.sys}/class/net"):
            device = f"{self.sys}/class/net/{name}/device"
            if os.path.exists(f"{device}/sriov_numvfs"):
                netdevs.setdefault(os.path.realpath(device), []).append(name)
        found = [self._pf(device, names) for device, names in sorted(netdevs.items())]
        pfs = {pf.id: pf for pf in found if pf is not None}
        self._read_overrides(pfs.values())
        return pfs

    def some_pfs(self, identities: Iterable[str]) -> dict[str, Pf]:
        """These PFs, without those that are gone."""
        pfs = {}
        for identity in identities:
            device = device_directory(self.sys, identity)
            if os.path.exists(f"{device}/sriov_numvfs"):
                pf = self._pf(os.path.realpath(device), self.names(f"{device}/net"))
                if pf is not None:
                    pfs[pf.id] = pf
        self._read_overrides(pfs.values())
        return pfs

    def uppers(self, netdev: str) -> list[str]:
        """Netdevs stacked on this one (bridge, bond, VLAN, macvlan, …)."""
        return [name[6:] for name in self.names(f"{self.sys}/class/net/{netdev}") if name.startswith("upper_")]

    def bridges(self) -> list[str] | None:
        """Linux bridges; one of Open vSwitch is none. ``None``: the interfaces can't be listed."""
        names = self.names(f"{self.sys}/class/net")
        found = [name for name in names if os.path.isdir(f"{self.sys}/class/net/{name}/bridge")]
        return sorted(found) if names else None

    def speed(self, netdev: str) -> int | None:
        """Mbit/s; ``None`` without a link. It waits for RTNL (net/core/net-sysfs.c, speed_show)."""
        speed = self.number(f"{self.sys}/class/net/{netdev}/speed")
        return speed if speed is not None and speed > 0 else None

    def _pf(self, device: str, netdevs: list[str]) -> Pf | None:
        entries = self.names(device)
        netdev = self.choose(netdevs)
        bus = self.link(f"{device}/subsystem")
        if not entries or netdev is None or bus is None:
            self.notes.append(f"{os.path.basename(device)} disappeared while it was being read.")
            return None
        module = os.path.join(device, "driver", "module")
        numa_node = self.number(f"{device}/numa_node")
        autoprobe = self.number(f"{device}/sriov_drivers_autoprobe")
        pf = Pf(
            bus=bus,
            device=os.path.basename(device),
            netdev=netdev,
            ifindex=self.number(f"{self.sys}/class/net/{netdev}/ifindex") or 0,
            vendor=self._hex(f"{device}/vendor"),
            device_id=self._hex(f"{device}/device"),
            driver=self.link(f"{device}/driver"),
            driver_version=self.text(f"{module}/version") or None,
            out_of_tree="O" in (self.text(f"{module}/taint") or ""),
            numa_node=numa_node if numa_node is not None and numa_node >= 0 else None,
            total_vfs=self.number(f"{device}/sriov_totalvfs"),
            offset=self.number(f"{device}/sriov_offset"),
            stride=self.number(f"{device}/sriov_stride"),
            vf_device_id=self._hex(f"{device}/sriov_vf_device"),
            autoprobe=None if autoprobe is None else bool(autoprobe),
        )
        if bus == "pci":
            links = sorted((int(match[1]), name) for name in entries if (match := _VIRTFN.fullmatch(name)))
            pf.vfs = [self._vf(index, f"{device}/{name}") for index, name in links]
            pf.num_vfs = len(pf.vfs)
        else:
            # netdevsim has no virtfn links, and its sriov_numvfs takes no lock (drivers/net/netdevsim/bus.c).
            pf.num_vfs = self.number(f"{device}/sriov_numvfs")
            pf.vfs = [Vf(index) for index in range(pf.num_vfs or 0)]
        if not os.path.exists(device):
            self.notes.append(f"{pf.id} disappeared while it was being read.")
            return None
        return pf

    def choose(self, netdevs: list[str]) -> str | None:
        """The PF's own netdev among those of its device: in switchdev mode VF representors are there too,
        and a card with two ports on one function (mlx4) numbers them by dev_port."""
        if len(netdevs) < 2:
            return netdevs[0] if netdevs else None

        # phys_port_name waits for RTNL (net/core/net-sysfs.c, phys_port_name_show).
        paths = {name: f"{self.sys}/class/net/{name}/phys_port_name" for name in netdevs}
        ports = read_files(list(paths.values()), _LOCKED_SECONDS).texts

        def rank(name: str) -> tuple[bool, int, str]:
            port = ports.get(paths[name], "").strip()
            return bool(_REPRESENTOR.fullmatch(port)), self.number(f"{self.sys}/class/net/{name}/dev_port") or 0, name

        return min(netdevs, key=rank)

    def _vf(self, index: int, virtfn: str) -> Vf:
        address = self.link(virtfn)
        vf = Vf(index, address, driver=self.link(f"{virtfn}/driver"))
        group = self.link(f"{virtfn}/iommu_group")
        vf.iommu_group = int(group) if group is not None and group.isdecimal() else None
        try:
            netdevs = sorted(os.listdir(f"{virtfn}/net"))
        except OSError:
            netdevs = None
        if netdevs:
            vf.netdev = netdevs[0]
        elif vf.driver is not None and not is_passthrough(vf.driver):
            vf.uses.append(_without_netdev(vf.driver, moved=netdevs is not None))
        return vf

    def _read_overrides(self, pfs: Iterable[Pf]) -> None:
        """Reads ``driver_override`` of every VF in a child: it takes the VF's lock (drivers/pci/pci-sysfs.c,
        driver_override_show), which a removal that waits for a guest holds."""
        vfs: dict[str, Vf] = {}
        of: dict[str, str] = {}
        for pf in pfs:
            if not {pf.id, ""}.intersection(self.unasked):
                for vf in pf.vfs:
                    if vf.address is not None:
                        path = f"{self.sys}/bus/{pf.bus}/devices/{vf.address}/driver_override"
                        vfs[path], of[path] = vf, pf.id
        left = list(vfs)
        while left:
            reads = read_files(left, _LOCKED_SECONDS)
            for path, text in reads.texts.items():
                vfs[path].driver_override = None if text in ("", "(null)") else text
            if reads.hangs is None:
                return
            self.notes.append(
                f"The kernel does not answer a read of {reads.hangs}: the VF is probably being removed while "
                "something holds it. driver_override of it and of its PF's VFs after it is unknown."
            )
            # One lock says nothing of the other PFs'.
            left = [path for path in left[left.index(reads.hangs) :] if of[path] != of[reads.hangs]]

    def names(self, directory: str) -> list[str]:
        """Names in a directory, sorted; none when it is gone."""
        try:
            return sorted(os.listdir(directory))
        except OSError as error:
            self._note(directory, error)
            return []

    def text(self, path: str) -> str | None:
        """A file's text without the newline; ``None`` when it is gone or refuses."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError as error:
            self._note(path, error)
            return None

    def number(self, path: str) -> int | None:
        """A decimal number in a file."""
        text = self.text(path)
        try:
            return int(text) if text else None
        except ValueError:
            self.notes.append(f"{path} holds {text!r}, which is no number.")
            return None

    def link(self, path: str) -> str | None:
        """The last part of where a link points to."""
        try:
            return os.path.basename(os.readlink(path))
        except OSError as error:
            self._note(path, error)
            return None

    def _hex(self, path: str) -> str | None:
        text = self.text(path)
        return text.lower().removeprefix("0x").zfill(4) if text else None

    def _note(self, path: str, error: OSError) -> None:
        if error.errno not in _QUIET:
            self.notes.append(f"{path} can't be read: {error.strerror}.")


def device_directory(sys: str, identity: str) -> str:
    """``SYS/bus/pci/devices/0000:01:00.0`` for ``pci/0000:01:00.0``. Raises `HostError` for what is no PF: it might
    be the path of something else."""
    if not is_pf(identity):
        raise HostError("This is no PF.", f"{identity!r} is no bus with a device on it, such as pci/0000:01:00.0.")
    bus, _, device = identity.partition("/")
    return f"{sys}/bus/{bus}/devices/{device}"


def is_passthrough(driver: str) -> bool:
    """Whether a driver keeps the VF for somebody else instead of making a netdev of it: vfio-pci and its
    variants (mlx5_vfio_pci, …), and pci-stub, which does nothing."""
    return "vfio" in driver or driver == "pci-stub"


def _without_netdev(driver: str, *, moved: bool) -> Use:
    """Why a VF with a kernel driver has no netdev here. The ``net`` directory stays, empty, when the
    netdev is in another network namespace (seen with igbvf on 6.12); it is missing when the driver made
    none (yet)."""
    if moved:
        return Use("namespace", f"its netdev ({driver}) is in another network namespace")
    return Use("unknown", f"{driver} is bound to it and shows no netdev")
