"""What the checks look at: the host, and of it only the part that a state file needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.drivers.table import facts as driver_facts
from reconciler.host.model import Domain, Network, Nic, Pf, Snapshot
from reconciler.host.platform import Platform
from reconciler.kinds.kernel.effects import switches_on, takes_an_iommu
from reconciler.kinds.match import match_pfs
from reconciler.state.desired import Desired

Found = Iterator[Finding | Checked | Unchecked]


@dataclass(slots=True)
class Facts:
    """Input of every check. Without a state file everything is in scope."""

    host: Snapshot
    platform: Platform
    desired: Desired | None
    matched: dict[str, str]
    """Identity of the PF by its name in the state file."""

    @property
    def pfs(self) -> list[Pf]:
        """The PFs of the file, else all."""
        if self.desired is None:
            return list(self.host.pfs.values())
        return [self.host.pfs[identity] for identity in dict.fromkeys(self.matched.values())]

    @property
    def wants_guests(self) -> bool:
        """Whether libvirt is needed."""
        return self.desired is None or bool(self.desired.pools or self.desired.domains)

    @property
    def wants_passthrough(self) -> bool:
        """Whether VFs are for guests: then they take an IOMMU and vfio. A file that binds its VFs to ``kernel`` only
        does without, unless it declares an IOMMU."""
        arguments = self.desired.cmdline if self.desired is not None else None
        wants_iommu = any(switches_on(argument) or takes_an_iommu(argument) for argument in arguments or ())
        return (
            self.wants_guests
            or wants_iommu
            or any(
                driver == "vfio-pci"
                for pf in (self.desired.pfs.values() if self.desired else ())
                for driver in (pf.vf_driver, *(vf.driver for vf in pf.vf.values()))
            )
        )

    @property
    def domains(self) -> list[Domain]:
        """The guests of the file as far as libvirt knows them, else all."""
        known = self.host.libvirt.domains
        if self.desired is None:
            return list(known.values())
        return [known[name] for name in self.desired.domains if name in known]

    @property
    def networks(self) -> list[Network]:
        """The pools of the file that exist, else all hostdev networks."""
        known = self.host.libvirt.networks
        if self.desired is None:
            return [network for network in known.values() if network.mode == "hostdev"]
        return [known[name] for name in self.desired.pools if name in known and known[name].mode == "hostdev"]

    def address(self, pf: Pf) -> str:
        """``pf.int``; "" without a file."""
        return next((f"pf.{name}" for name, identity in self.matched.items() if identity == pf.id), "")

    def line(self, address: str) -> int:
        """Its line in the file; 0 without one."""
        return self.desired.line(address) if self.desired is not None and address else 0

    def vf_modules(self) -> dict[str, list[str]]:
        """VF drivers by kernel name, with the netdevs of their PFs; a driver that isn't known has none, and one that
        drives PF and VF alike (mlx5_core) can't be kept away from VFs only."""
        found: dict[str, list[str]] = {}
        for pf in self.pfs:
            name = driver_facts(pf.driver, pf.device_id).vf_driver
            if name not in ("kernel", pf.driver):
                found.setdefault(name.replace("-", "_"), []).append(pf.netdev)
        return found


def make_facts(host: Snapshot, platform: Platform, desired: Desired | None) -> Facts:
    """The facts; PFs that the file doesn't find, or finds twice, are told by the plan's own diagnostics."""
    return Facts(host, platform, desired, match_pfs(desired, host)[0] if desired is not None else {})


def vf_nics(nics: list[Nic]) -> list[Nic]:
    """Those that are VFs, or get one from a pool."""
    return [nic for nic in nics if nic.method != "other"]
