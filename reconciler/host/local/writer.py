"""The writer of this machine."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from reconciler.clock import Clock
from reconciler.host.local import rtnl, sysfs_writes, vf_requests
from reconciler.host.local.boot_writer import set_arguments
from reconciler.host.local.child import WRITES, NoAnswer
from reconciler.host.local.host_network import write_host_network
from reconciler.host.local.hugepages import set_huge_pages, write_own
from reconciler.host.local.initramfs import OWN_FILE, rebuild
from reconciler.host.local.libvirt_writer import LibvirtWriter
from reconciler.host.local.modules import (
    OWN_UNTIL_REBOOT,
    load,
    tell_udev,
    unload,
    write_blacklist,
)
from reconciler.host.local.modules_load import write_load
from reconciler.host.local.side_by_side import side_by_side
from reconciler.host.local.standing import ask
from reconciler.host.local.sysfs import Sysfs, device_directory
from reconciler.host.local.systemd import set_service, set_service_at_boot
from reconciler.host.local.vf_driver import VfBinding
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec, VfSet
from reconciler.host.refusals import no_answer_of_network, refused_link
from reconciler.state.desired import Pages

_SHORT = 10.0
"""Seconds for a write that only sets a flag."""
_NETWORK = 60.0
"""Seconds for a batch of requests: a driver may ask its firmware for each, and up and down may take some."""
_IFF_UP = 1
_IFLA_MTU = 4


class LocalWriter:
    """Implements `reconciler.host.protocol.Writer` for the machine that it runs on. Names of interfaces and
    addresses of VFs are looked up at the moment of each call. `root` is for tests."""

    clock: Clock = time

    def __init__(self, libvirt_uri: str, root: Path = Path("/")) -> None:
        self.root = root
        self.libvirt = LibvirtWriter(libvirt_uri)

    def set_kernel_arguments(self, arguments: Sequence[str] | None, deadline: float) -> None:
        set_arguments(self.root, arguments, deadline)

    def set_blacklist(self, modules: Sequence[str] | None, *, until_reboot: bool = False) -> None:
        write_blacklist(self.root, modules, OWN_UNTIL_REBOOT if until_reboot else OWN_FILE)
        tell_udev(self.root)

    def set_loaded_at_boot(self, modules: Sequence[str] | None) -> None:
        write_load(self.root, modules)

    def rebuild_initramfs(self, modules: Sequence[str], deadline: float) -> None:
        rebuild(self.root, modules, deadline)

    def unload_module(self, module: str, deadline: float) -> None:
        unload(module, deadline)

    def load_module(self, module: str, deadline: float) -> None:
        load(module, deadline)

    def set_service(self, unit: str, running: bool, deadline: float) -> None:
        set_service(self.root, unit, running, deadline)

    def set_service_at_boot(self, unit: str, enabled: bool) -> None:
        set_service_at_boot(self.root, unit, enabled)

    def set_huge_pages(self, size: str, pages: Pages, deadline: float) -> None:
        set_huge_pages(self.root, size, pages, deadline)

    def set_huge_pages_at_boot(self, pages: Mapping[str, Pages] | None) -> None:
        write_own(self.root, pages)

    def set_link(self, pf: str, up: bool) -> None:
        netdev, index, _ = self._netdev(pf)
        body = rtnl.ifinfo(index, flags=_IFF_UP if up else 0, change=_IFF_UP)
        self._change(body, f"{netdev} could not be set {'up' if up else 'down'}")

    def set_mtu(self, pf: str, mtu: int) -> None:
        netdev, index, _ = self._netdev(pf)
        body = rtnl.ifinfo(index) + rtnl.attribute(_IFLA_MTU, struct.pack("=I", mtu))
        self._change(body, f"the MTU of {netdev} could not be set to {mtu}")

    def set_autoprobe(self, pf: str, enabled: bool) -> None:
        sysfs_writes.write(self.root, self._device(pf) / "sriov_drivers_autoprobe", str(int(enabled)), _SHORT)

    def set_host_network(self, pfs: Sequence[str], deadline: float) -> None:
        write_host_network(self.root, pfs, deadline)

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        sysfs_writes.set_numvfs(self.root, self._device(pf) / "sriov_numvfs", count, deadline)

    def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
        return side_by_side(orders)

    def bind_vf(self, pf: str, index: int, driver: Literal["none", "vfio-pci", "kernel"], deadline: float) -> None:
        try:
            address = os.path.basename(os.readlink(self._device(pf) / f"virtfn{index}"))
        except FileNotFoundError as error:
            raise HostError("A VF is gone.", f"{pf} has no VF {index}.", errno=errno.ENODEV) from error
        VfBinding(self.root, address, deadline).bind(driver)

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        netdev, index, driver = self._netdev(pf)
        bodies = [vf_requests.request(index, wanted) for wanted in requests]
        try:
            answers = _change(bodies)
        except NoAnswer as error:
            raise no_answer_of_network(f"VFs of {netdev} could not be set", _NETWORK, error.pid) from error
        except OSError as error:
            raise HostError(
                "The kernel's network interfaces can't be reached.", str(error), errno=error.errno or 0
            ) from error
        return vf_requests.refusals(netdev, driver, requests, answers)

    def define_pool(self, pool: PoolSpec) -> None:
        self.libvirt.define_pool(pool)

    def create_pool(self, pool: PoolSpec) -> None:
        self.libvirt.create_pool(pool)

    def start_pool(self, name: str) -> None:
        self.libvirt.start_pool(name)

    def stop_pool(self, name: str) -> None:
        self.libvirt.stop_pool(name)

    def set_pool_autostart(self, name: str, enabled: bool) -> None:
        self.libvirt.set_pool_autostart(name, enabled)

    def undefine_pool(self, name: str) -> None:
        self.libvirt.undefine_pool(name)

    def attach_nic(self, domain: str, nic: NicSpec, *, live: bool, config: bool) -> None:
        self.libvirt.attach_nic(domain, nic, live=live, config=config)

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        self.libvirt.detach_nic(domain, match, live=live, config=config)

    def update_nic(self, domain: str, match: NicMatch, nic: NicSpec) -> None:
        self.libvirt.update_nic(domain, match, nic)

    def set_bridge(self, domain: str, alias: str, bridge: str, *, live: bool, config: bool) -> None:
        self.libvirt.set_bridge(domain, alias, bridge, live=live, config=config)

    def add_root_ports(self, domain: str, free: int) -> None:
        self.libvirt.add_root_ports(domain, free)

    def drop_root_ports(self, domain: str, keep: Sequence[int]) -> None:
        self.libvirt.drop_root_ports(domain, keep)

    def _device(self, pf: str) -> Path:
        path = Path(device_directory(str(self.root / "sys"), pf))
        if not path.exists():
            raise HostError("A PF is gone.", f"{path} does not exist any more.", errno=errno.ENODEV)
        return path

    def _netdev(self, pf: str) -> tuple[str, int, str | None]:
        """Netdev, its interface index and the driver of a PF."""
        sysfs = Sysfs(self.root, [])
        device = str(self._device(pf))
        netdev = sysfs.choose(sysfs.names(f"{device}/net"))
        index = sysfs.number(f"{device}/net/{netdev}/ifindex")
        if netdev is None or index is None:
            raise HostError("A PF is gone.", f"{pf} has no network interface any more.", errno=errno.ENODEV)
        return netdev, index, sysfs.link(f"{device}/driver")

    def _change(self, body: bytes, failed: str) -> None:
        try:
            (answer,) = _change([rtnl.Request(body)])
        except NoAnswer as error:
            raise no_answer_of_network(failed, _NETWORK, error.pid) from error
        except OSError as error:
            answer = rtnl.Answer(error.errno or errno.EIO)
        if answer.code:
            raise refused_link(failed, answer.code, answer.text, root=os.geteuid() == 0)


def _change(requests: Sequence[rtnl.Request]) -> list[rtnl.Answer]:
    """In a child: the kernel works on a request inside of our own sendmsg, for as long as somebody holds RTNL. Raises
    NoAnswer, OSError."""
    bodies, groups = [request.body for request in requests], [request.group for request in requests]
    return ask(rtnl.change, bodies, groups, seconds=_NETWORK, name=WRITES)
