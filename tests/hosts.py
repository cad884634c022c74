"""Hosts as data, and a reader and writer on such data: the fastest host there is, for tests of planning and of the
executor. What the kernel and libvirt really do is tested in the lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from reconciler.clock import Clock
from reconciler.host.model import (
    Domain,
    HostIdentity,
    Libvirt,
    Modules,
    Network,
    Nic,
    Pf,
    Snapshot,
    Vf,
)
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec, Scope, VfSet
from reconciler.kinds.builder import copy_host
from reconciler.kinds.nic.identity import find_standby
from reconciler.kinds.operations import OPERATIONS
from reconciler.state.desired import ZERO_MAC, Attributes, Pages
from reconciler.state.load import load

FRESH: Attributes = {
    "mac": ZERO_MAC,
    "vlan": 0,
    "qos": 0,
    "vlan_proto": "802.1Q",
    "spoofchk": True,
    "trust": False,
    "link_state": "auto",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
}


def igb(number: int, vfs: int = 0, **changes: object) -> Pf:
    """An igb port ``enpNs0``; VFs without a driver."""
    bus = f"{number:02x}"
    pf = Pf(
        bus="pci",
        device=f"0000:{bus}:00.0",
        netdev=f"enp{number}s0",
        ifindex=number,
        mac=f"52:54:00:00:00:{bus}",
        vendor="8086",
        device_id="10c9",
        driver="igb",
        total_vfs=7,
        num_vfs=vfs,
        offset=128,
        stride=2,
        vf_device_id="10ca",
        autoprobe=True,
        up=False,
        mtu=1500,
    )
    for name, value in changes.items():
        setattr(pf, name, value)
    pf.vfs = [igb_vf(number, index) for index in range(vfs)]
    return pf


def igb_vf(number: int, index: int) -> Vf:
    """VF ``index`` of `igb`."""
    routing = 128 + 2 * index
    address = f"0000:{number:02x}:{routing >> 3 & 0x1F:02x}.{routing & 7}"
    return Vf(index, address, iommu_group=100 * number + index, attributes=dict(FRESH))


def guest(name: str, *, running: bool = False, live: Sequence[Nic] = (), config: Sequence[Nic] = ()) -> Domain:
    """A persistent domain."""
    uuid = f"00000000-0000-4000-8000-{sum(map(ord, name)):012d}"
    return Domain(name, uuid, running=running, live=list(live), config=list(config))


def host(
    *pfs: Pf,
    domains: Sequence[Domain] = (),
    networks: Sequence[Network] = (),
    loaded: Sequence[str] = (),
) -> Snapshot:
    """A host with libvirt, read as root."""
    return Snapshot(
        taken_at="2026-01-01T00:00:00Z",
        host=HostIdentity("lab", "machine", "boot-1", "6.12.0"),
        pfs={pf.id: pf for pf in pfs},
        modules=Modules(loaded=list(loaded), blacklist=[], own=None, load=[]),
        libvirt=Libvirt(
            available=True,
            version=11003000,
            domains={domain.name: domain for domain in domains},
            networks={network.name: network for network in networks},
        ),
        vfio_open={},
    )


def desired(text: str):  # type: ignore[no-untyped-def]
    """A state file's meaning; ``schema = 1`` is added."""
    return load("host.toml", f"schema = 1\n{text}".encode())


class DataHost:
    """Implements Reader and Writer on a snapshot, by the predictions of the operations. ``refuse``: arguments of
    ``vf.set`` (attribute names) that the driver doesn't take; ``calls`` counts what was written."""

    clock: Clock = time

    def __init__(self, snapshot: Snapshot, refuse: Sequence[str] = ()) -> None:
        self.state = copy_host(snapshot)
        for pf in self.state.pfs.values():
            pf.carrier = True if pf.up else None  # The cable is in.
        self.refuse = set(refuse)
        self.calls: list[str] = []

    def observe(self) -> Snapshot:
        return copy_host(self.state)

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        fresh = copy_host(self.state)
        snapshot.pfs, snapshot.modules, snapshot.libvirt = fresh.pfs, fresh.modules, fresh.libvirt
        snapshot.boot = fresh.boot
        snapshot.services, snapshot.hugepages = fresh.services, fresh.hugepages

    def wait_for_change(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def _do(self, op: str, **args: object) -> None:
        self.calls.append(op)
        OPERATIONS[op].simulate(self.state, args)

    def set_kernel_arguments(self, arguments: Sequence[str] | None, deadline: float) -> None:
        self._do("kernel.set_cmdline", arguments=arguments)

    def set_blacklist(self, modules: Sequence[str] | None, *, until_reboot: bool = False) -> None:
        self._do("modules.set_blacklist", modules=modules, until_reboot=until_reboot)

    def rebuild_initramfs(self, modules: Sequence[str], deadline: float) -> None:
        self._do("modules.rebuild_initramfs", modules=list(modules))

    def set_loaded_at_boot(self, modules: Sequence[str] | None) -> None:
        self._do("modules.set_load", modules=modules)

    def unload_module(self, module: str, deadline: float) -> None:
        self._do("modules.unload", module=module)

    def load_module(self, module: str, deadline: float) -> None:
        self._do("modules.load", module=module)

    def set_service(self, unit: str, running: bool, deadline: float) -> None:
        self._do("service.set", service=unit.removesuffix(".service"), now="running" if running else "stopped")

    def set_service_at_boot(self, unit: str, enabled: bool) -> None:
        self._do("service.set", service=unit.removesuffix(".service"), boot="enabled" if enabled else "disabled")

    def set_huge_pages(self, size: str, pages: Pages, deadline: float) -> None:
        self._do("hugepages.set", size=size, now=pages)

    def set_huge_pages_at_boot(self, pages: Mapping[str, Pages] | None) -> None:
        self.calls.append("hugepages.set")
        self.state.hugepages.own = None if pages is None else dict(pages)

    def set_link(self, pf: str, up: bool) -> None:
        self._do("pf.set_link", pf=pf, link="up" if up else "down")
        if up:
            self.state.pfs[pf].carrier = True

    def set_mtu(self, pf: str, mtu: int) -> None:
        self._do("pf.set_mtu", pf=pf, mtu=mtu)

    def set_autoprobe(self, pf: str, enabled: bool) -> None:
        self._do("pf.set_autoprobe", pf=pf, autoprobe=enabled)

    def set_host_network(self, pfs: Sequence[str], deadline: float) -> None:
        self.calls.append("pf.set_host_network")
        self.state.host_network.ignored = sorted(pfs)

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        current = self.state.pfs[pf].num_vfs
        if current and count and current != count:
            raise HostError("The kernel refused.", "EBUSY", errno=16)
        self._do("pf.set_numvfs", pf=pf, vfs=count)
        if self.state.pfs[pf].up:
            self.state.pfs[pf].carrier = True

    def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
        errors: list[Exception | None] = []
        for order in orders:
            try:
                order()
            except Exception as error:  # noqa: BLE001
                errors.append(error)
            else:
                errors.append(None)
        return errors

    def bind_vf(self, pf: str, index: int, driver: str, deadline: float) -> None:
        self._do("vf.bind", pf=pf, vf=index, driver=driver)

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        results: list[HostError | None] = []
        for request in requests:
            bad = self.refuse & set(request.attributes)
            if bad:
                results.append(HostError("The kernel refused a VF attribute.", f"{bad}: EOPNOTSUPP", errno=95))
            else:
                self._do("vf.set", pf=pf, vf=request.index, set=dict(request.attributes))
                results.append(None)
        return results

    def define_pool(self, pool: PoolSpec) -> None:
        self._pool("pool.define", pool)

    def create_pool(self, pool: PoolSpec) -> None:
        self._pool("pool.create", pool)

    def _pool(self, op: str, pool: PoolSpec) -> None:
        by_address = {vf.address: [pf.id, vf.index] for pf in self.state.pfs.values() for vf in pf.vfs}
        if pool.pf_dev is not None:
            pf = next(p for p in self.state.pfs.values() if p.netdev == pool.pf_dev)
            self._do(op, pool=pool.name, pf=pf.id)
        else:
            self._do(op, pool=pool.name, vfs=[by_address[a] for a in pool.addresses])

    def start_pool(self, name: str) -> None:
        self._do("pool.start", pool=name)

    def stop_pool(self, name: str) -> None:
        self._do("pool.stop", pool=name)

    def set_pool_autostart(self, name: str, enabled: bool) -> None:
        self._do("pool.set_autostart", pool=name, autostart=enabled)

    def undefine_pool(self, name: str) -> None:
        self._do("pool.undefine", pool=name)

    def attach_nic(self, domain: str, nic: NicSpec, *, live: bool, config: bool) -> None:
        if nic.method == "bridge":
            standby = {"alias": nic.alias, "mac": nic.mac, "bridge": nic.bridge}
            self._do("nic.attach_standby", domain=domain, standby=standby, live=live, config=config)
        else:
            self._do("nic.attach", domain=domain, nic=self._nic(nic), live=live, config=config)

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        known = self.state.libvirt.domains[domain]
        if find_standby([*known.live, *known.config], match.alias) is not None:
            self._do("nic.detach_standby", domain=domain, alias=match.alias, live=live, config=config)
        else:
            self._do("nic.detach", domain=domain, match=_match(match), live=live, config=config)

    def set_bridge(self, domain: str, alias: str, bridge: str, *, live: bool, config: bool) -> None:
        self._do("nic.move_standby", domain=domain, alias=alias, bridge=bridge, live=live, config=config)

    def update_nic(self, domain: str, match: NicMatch, nic: NicSpec) -> None:
        self._do("nic.update", domain=domain, match=_match(match), nic=self._nic(nic))

    def add_root_ports(self, domain: str, free: int) -> None:
        self._do("domain.set_root_ports", domain=domain, free=free)

    def drop_root_ports(self, domain: str, keep: Sequence[int]) -> None:
        self._do("domain.drop_root_ports", domain=domain, keep=list(keep))

    def _nic(self, nic: NicSpec) -> dict[str, object]:
        args: dict[str, object] = {"method": nic.method, "alias": nic.alias, "mac": nic.mac, "vlan": nic.vlan}
        if nic.standby is not None:
            args["standby"] = nic.standby or None
        if nic.pool is not None:
            args["pool"] = nic.pool
        for pf in self.state.pfs.values():
            for vf in pf.vfs:
                if nic.vf_address is not None and vf.address == nic.vf_address:
                    args["vf"] = [pf.id, vf.index]
        return args


def _match(match: NicMatch) -> dict[str, str]:
    found = {"alias": match.alias, "mac": match.mac, "vf": match.vf_address}
    return {key: value for key, value in found.items() if value is not None}
