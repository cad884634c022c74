"""A state file that describes a host as it is, as plain data. What can't be described so that its plan is empty is left
out, with a sentence about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.drivers.table import DRIVERS, facts
from reconciler.host.model import OWN_ALIAS, Domain, Network, Nic, Pf, Snapshot, Vf
from reconciler.kinds.holders import Holders, VfId, find_holders, vfs_by_address
from reconciler.kinds.hugepages.operations import now_of
from reconciler.kinds.kernel.effects import has_effect
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.nic.identity import alias_of, find_standby, sriov_nics
from reconciler.kinds.pf.host_network import managed
from reconciler.kinds.pool.operations import live_addresses
from reconciler.kinds.vf.compare import LIBVIRT_OWNS, is_zero
from reconciler.plan.planner import make_plan
from reconciler.plan.select import within
from reconciler.state.desired import VF_ATTRIBUTES, Attributes, Policy
from reconciler.state.findings import Findings, thing
from reconciler.state.load import load
from reconciler.state.positions import Path
from reconciler.state.values import check_argument, check_host_name, check_libvirt_name, check_module, check_nic_key
from reconciler.state.write import render

Data = dict[str, Any]
_MOST_MTU = range(68, 65536)


@dataclass(slots=True)
class Adopted:
    """The file's content, and what was left out of it."""

    state: Data = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Why it is no description after all: what its plan would do. Empty, unless reconciler itself is at fault."""

    @property
    def text(self) -> str:
        """The state file."""
        return render(self.state, self.left_out)


class _Adopter:
    """Builds the file part by part."""

    def __init__(self, host: Snapshot) -> None:
        self.host = host
        self.result = Adopted()
        self.holders: Holders = find_holders(host)
        self.by_address = vfs_by_address(host)
        self.names = _logical_names(host)
        self.pooled: dict[VfId, str] = {}
        self.given: set[VfId] = set()
        """VFs of interfaces: libvirt sets their MAC and VLAN."""
        self.taken: set[VfId] = set()
        """VFs of any NIC that names one."""
        self.paired: set[VfId] = set()
        """VFs of plain hostdevs whose MAC is told with the NIC."""
        self.macs: set[str] = set()

    def all(self) -> Adopted:
        state = self.result.state
        state["schema"] = 1
        if _fits(check_host_name, self.host.host.name):
            state["host"] = {"name": self.host.host.name}
        else:
            self.result.left_out.append(f"host.name: no state file takes the name {self.host.host.name!r}")
        if arguments := self._arguments():
            state["kernel"] = {"cmdline": arguments}
        blacklist = self._blacklist()
        load = [name for name in self.host.modules.own_load or [] if name in (self.host.modules.loaded or [])]
        modules = {name: listed for name, listed in (("blacklist", blacklist), ("load", load)) if listed}
        if modules:
            state["modules"] = modules
        if self._huge_pages():
            state["hugepages"] = self._huge_pages()
        pools = self._pools()
        domains = self._domains()
        if self.host.pfs:
            state["pf"] = {self.names[pf.id]: self._pf(pf) for pf in self.host.pfs.values()}
        if pools:
            state["pool"] = pools
        if domains:
            state["domain"] = domains
            most = max(len(sriov_nics(self.host.libvirt.domains[name])) for name in domains)
            if most > Policy().max_vfs_per_domain:
                state["policy"] = {"max_vfs_per_domain": most}
        if not self.host.libvirt.available:
            self.result.left_out.append(f"guests and pools: {self.host.libvirt.reason}")
        return self.result

    def _arguments(self) -> list[str]:
        """The kernel's arguments that our own file has, once they are in effect."""
        boot = self.host.boot
        own = [item for item in boot.own or [] if _fits(check_argument, item)]
        if own != (boot.own or []) or not all(has_effect(item, boot) and item in (boot.next or ()) for item in own):
            self.result.left_out.append("kernel.cmdline: not all of our own arguments are in effect")
            return []
        return own

    def _blacklist(self) -> list[str]:
        listed = {kernel_name(m) for m in self.host.modules.own or []}
        drivers = {known.vf_driver for known in DRIVERS.values()}
        listed |= {entry.module for entry in self.host.modules.blacklist or []} & drivers
        loaded = set(self.host.modules.loaded or [])
        for module in sorted(listed & loaded):
            self.result.left_out.append(f"modules.blacklist: {module} is blacklisted, and loaded all the same")
        odd = {module for module in listed - loaded if not _fits(check_module, module)}
        self.result.left_out += [f"modules.blacklist: no state file takes the name {name!r}" for name in sorted(odd)]
        return sorted(listed - loaded - odd)

    def _huge_pages(self) -> Data:
        """Those that our own file makes at boot, and that are there. Services, and pages that come from elsewhere, are
        the host's own affair until somebody declares them."""
        known = self.host.hugepages
        found: Data = {}
        for size, pages in (known.own or {}).items():
            there = (known.sizes or {}).get(size)
            if there is not None and now_of(there, pages) == pages:
                found[size] = pages
            else:
                self.result.left_out.append(f"hugepages.{size}: the host doesn't have the pages that are made at boot")
        return found

    def _pf(self, pf: Pf) -> Data:
        match = {"address": pf.device} if pf.bus == "pci" else {"name": pf.netdev}
        table: Data = {"match": match}
        if pf.up is not None:
            table["link"] = "up" if pf.up else "down"
        if pf.mtu in _MOST_MTU:
            table["mtu"] = pf.mtu
        for name, value in (("link", pf.up), ("mtu", pf.mtu)):
            if name not in table:
                why = "it could not be read" if value is None else f"no state file takes {value}"
                self.result.left_out.append(f"{name} of {pf.netdev}: {why}")
        if pf.num_vfs is not None:
            table["vfs"] = pf.num_vfs
        if pf.id in (self.host.host_network.ignored or []) and not managed(self.host, pf):
            table["host_network"] = "ignore"
        driver = self._vf_driver(pf)
        if driver is not None:
            table["vf_driver"] = driver
        own = {vf.index: self._attributes(pf, vf) for vf in pf.vfs}
        defaults = _defaults(list(own.values()))
        if defaults:
            table["vf_defaults"] = defaults
        differing = {
            index: {name: value for name, value in values.items() if defaults.get(name) != value}
            for index, values in own.items()
        }
        ranges = _ranges({index: values for index, values in differing.items() if values})
        if ranges:
            table["vf"] = ranges
        return table

    def _vf_driver(self, pf: Pf) -> str | None:
        """What all VFs that nobody has are bound to, where autoprobe agrees with it."""
        free = [vf for vf in pf.vfs if not self.holders.get((pf.id, vf.index))]
        if pf.bus != "pci" or not free or pf.autoprobe is None:
            return None
        drivers = {"none" if vf.driver is None else vf.driver for vf in free}
        if drivers == {"none"} and not pf.autoprobe:
            return "none"
        if drivers == {"vfio-pci"} and not pf.autoprobe:
            return "vfio-pci"
        kernel = all("vfio" not in name and name != "none" for name in drivers)
        return "kernel" if kernel and pf.autoprobe else None

    def _attributes(self, pf: Pf, vf: Vf) -> Attributes:
        if vf.attributes is None:
            self.result.left_out.append(f"attributes of VF {vf.index} of {pf.netdev}: they could not be read")
            return {}
        usual = facts(pf.driver, pf.device_id).fresh or {}
        found: Attributes = {}
        for name in VF_ATTRIBUTES:
            value = vf.attributes.get(name)
            if value is None or (name in LIBVIRT_OWNS and (pf.id, vf.index) in self.given):
                continue
            if name in LIBVIRT_OWNS and (pf.id, vf.index) in self.pooled and name != "mac":
                continue
            if name == "mac" and (pf.id, vf.index) in self.paired:
                continue
            if name == "vlan_proto" and value == "802.1Q":
                continue
            if name == "vlan" and value == 4095:  # mlx4 for none, in older snapshots
                continue
            if name in ("spoofchk", "trust") or not (is_zero(name, value) or value == usual.get(name)):
                found[name] = value
        if 0 < int(found.get("max_tx_rate", 0)) < int(found.get("min_tx_rate", 0)):
            self.result.left_out.append(f"rates of VF {vf.index} of {pf.netdev}: the lower is above the upper")
            del found["min_tx_rate"], found["max_tx_rate"]
        return self._checked_mac(pf, vf, found)

    def _checked_mac(self, pf: Pf, vf: Vf, found: Attributes) -> Attributes:
        mac = str(found.get("mac", ""))
        multicast = bool(mac) and bool(int(mac[:2], 16) & 1)
        if multicast or mac in self.macs:
            why = "it is a multicast address" if multicast else "it is there twice"
            self.result.left_out.append(f"the MAC {mac} of VF {vf.index} of {pf.netdev}: {why}")
            del found["mac"]
        elif mac:
            self.macs.add(mac)
        return found

    def _pools(self) -> Data:
        pools: Data = {}
        for network in self.host.libvirt.networks.values():
            if network.mode != "hostdev":
                continue
            named = _fits(check_libvirt_name, network.name)
            table = self._pool(network) if named else "no state file takes this name"
            if isinstance(table, str):
                self.result.left_out.append(f"pool {network.name}: {table}")
            else:
                pools[network.name] = table
        return pools

    def _pool(self, network: Network) -> Data | str:
        if not network.active:
            return "it is not active, and a declared pool is"
        if sorted(live_addresses(self.host, network)) != sorted(network.live_addresses):
            return "its list of VFs is not that of today; restart it"
        vfs: list[VfId] = []
        table: Data = {}
        if network.pf_dev is not None:
            pf = next((p for p in self.host.pfs.values() if network.pf_dev in (p.netdev, *p.altnames)), None)
            if pf is None:
                return f"its PF {network.pf_dev} is not there"
            vfs = [(pf.id, vf.index) for vf in pf.vfs]
            table = {"pf": self.names[pf.id]}
        else:
            found = [self.by_address.get(address) for address in network.addresses]
            vfs = [vf for vf in found if vf is not None]
            if len(vfs) < len(found) or not vfs:
                return "some of its VFs are not there"
            table = {"vfs": self._references(vfs)}
        shared = [vf for vf in vfs if vf in self.pooled]
        if shared:
            return f"it shares VFs with the pool {self.pooled[shared[0]]}"
        self.pooled |= dict.fromkeys(vfs, network.name)
        return {**table, "autostart": network.autostart}

    def _references(self, vfs: list[VfId]) -> list[str]:
        by_pf: dict[str, list[int]] = {}
        for pf, index in vfs:
            by_pf.setdefault(pf, []).append(index)
        return [f"{self.names[pf]}/{_index_list(sorted(found))}" for pf, found in by_pf.items()]

    def _domains(self) -> Data:
        domains: Data = {}
        for domain in self.host.libvirt.domains.values():
            nics: Data = {}
            source = [n for n in (domain.config if domain.persistent else domain.live) if n.method != "other"]
            if source and not _fits(check_libvirt_name, domain.name):
                self.result.left_out.append(f"guest {domain.name}: no state file takes this name")
                continue
            for number, (nic, key) in enumerate(zip(source, _keys(source), strict=True)):
                table = self._nic(domain, nic, key)
                if isinstance(table, str):
                    self.result.left_out.append(f"NIC {nic.alias or nic.mac or number} of {domain.name}: {table}")
                else:
                    nics[key] = table
            if nics:
                domains[domain.name] = {"nic": nics}
        return domains

    def _nic(self, domain: Domain, nic: Nic, key: str) -> Data | str:
        live = next((n for n in domain.live if n.method != "other" and _same(n, nic)), None)
        if domain.running and live is None:
            return "it is in the definition and not in the running guest"
        if nic.mac is not None and nic.mac in self.macs:
            return f"its MAC {nic.mac} is there twice"
        table: Data = {}
        vf = self.by_address.get((live or nic).vf_address or "")
        if nic.method == "pool":
            if nic.pool not in self.result.state.get("pool", {}) and nic.pool not in self.pooled.values():
                return f"its pool {nic.pool} is not described"
            table["pool"] = nic.pool
        else:
            if vf is None:
                return f"its VF {nic.vf_address} is not there"
            if vf in self.pooled or vf in self.taken:
                return f"its VF {nic.vf_address} is in a pool or promised to another NIC too"
            table["vf"] = f"{self.names[vf[0]]}/{vf[1]}"
            if nic.method == "hostdev":
                table["method"] = "hostdev"
        if nic.method in ("interface", "pool"):
            if nic.mac is not None:
                table["mac"] = nic.mac
                self.macs.add(nic.mac)
            if nic.vlan:
                table["vlan"] = nic.vlan
            if vf is not None:
                self.given.add(vf)
        table |= self._failover(domain, nic, vf)
        if vf is not None:
            self.taken.add(vf)
        return table

    def _failover(self, domain: Domain, nic: Nic, vf: VfId | None) -> Data:
        """The pair that it is one half of, if that is whole. With a plain hostdev the MAC is that of the VF."""
        standby = find_standby(domain.config if domain.persistent else domain.live, nic.partner)
        if standby is None or standby.bridge is None or standby.teaming != "persistent":
            return {}
        pair = {"failover": {"bridge": standby.bridge}}
        if nic.method != "hostdev":
            return pair if standby.mac == nic.mac else {}
        observed = self.host.pfs[vf[0]].vf(vf[1]) if vf is not None else None
        mac = ((observed.attributes if observed is not None else None) or {}).get("mac")
        if vf is None or mac != standby.mac or mac in self.macs:
            return {}
        self.macs.add(str(mac))
        self.paired.add(vf)
        return {"mac": mac, **pair}


ELSEWHERE = "…"
"""In place of the name that another host's file has for a PF."""


def nics_elsewhere(host: Snapshot, domain: Domain) -> Data:
    """The NICs of a guest that is off and that name a VF of this host, by key, as the file of another host would
    declare them: ``pf`` is left open, and the VF's attributes are as they are here where they are not the driver's
    usual ones. What can't be read is left out."""
    adopter = _Adopter(host)
    nics = sriov_nics(domain)
    found: Data = {}
    for nic, key in zip(nics, _keys(nics), strict=True):
        if nic.method == "pool":
            continue
        table: Data = {"pf": ELSEWHERE}
        if nic.method == "hostdev":
            table["method"] = "hostdev"
        if nic.mac is not None:
            table["mac"] = nic.mac
        if nic.vlan:
            table["vlan"] = nic.vlan
        vf = adopter.by_address.get(nic.vf_address or "")
        pf = host.pfs[vf[0]] if vf is not None else None
        here = pf.vf(vf[1]) if pf is not None and vf is not None else None
        if vf is not None and pf is not None and here is not None:
            adopter.given |= {vf} if nic.method == "interface" else set()
            table |= adopter._failover(domain, nic, vf)
            usual = facts(pf.driver, pf.device_id).fresh or {}
            attributes = adopter._attributes(pf, here).items()
            table |= {name: value for name, value in attributes if value != usual.get(name)}
        found[key] = table
    return found


def adopt(host: Snapshot) -> Adopted:
    """Describes a host. The file is valid and its plan empty, or `Adopted.wrong` says why not: what would keep it from
    that is left out."""
    adopted = _Adopter(host).all()
    while True:
        try:
            plan = make_plan(load("the adopted file", adopted.text.encode()), host)
        except StateFileError as error:
            found = [(d.address, f"{d.summary} {d.detail}") for d in error.diagnostics]
            if not _leave_out(adopted, found, exactly=False):
                told = "; ".join(f"{address}: {why}" for address, why in found)
                raise ReconcilerError(
                    "The host can't be described.",
                    f"The file would not be valid: {told} This is a fault in reconciler.",
                ) from None
            continue
        left = [(action.address, f"its plan would not be empty, but {action.op}") for action in plan.actions]
        left += [(d.address, f"{d.summary} {d.detail}") for d in plan.diagnostics if d.severity == "error"]
        if not left or not _leave_out(adopted, left, exactly=True):
            adopted.wrong = [f"{address}: {why}" for address, why in left]
            return adopted


def _leave_out(adopted: Adopted, wrong: list[tuple[str, str]], *, exactly: bool) -> bool:
    """Takes out what stands at these addresses; not ``exactly``: or what is around them. False: there is no such."""
    done = False
    for address, why in wrong:
        paths = {thing(path)[0]: path for path in _things(adopted.state)}
        around = [address] if exactly else [known for known in paths if within(address, known)]
        path = paths.get(max(around, key=len, default=""))
        if path is not None and not (exactly and len(path) == 2 and path[0] == "pf"):
            _remove(adopted.state, path)
            adopted.left_out.append(f"{address}: {why.rstrip('.')}")
            done = True
    return done


def _things(state: Data) -> list[Path]:
    """Where something stands that can be left out by itself."""
    found: list[Path] = [(key,) for key in state if key in ("host", "policy", "modules")]
    for kind in ("pf", "pool", "domain"):
        for name, table in state.get(kind, {}).items():
            found.append((kind, name))
            for part in ("vf", "nic"):
                found += [(kind, name, part, key) for key in table.get(part, {})]
    return found


def _remove(state: Data, path: Path) -> None:
    """Removes a table, and those around it that are empty then."""
    keys = [str(key) for key in path]
    tables = [state]
    for key in keys[:-1]:
        tables.append(tables[-1][key])
    del tables[-1][keys[-1]]
    for table, key in zip(reversed(tables[:-1]), reversed(keys[:-1]), strict=True):
        if not table[key]:
            del table[key]


def _fits(check: Callable[[Findings, Path, str], bool], name: str) -> bool:
    return check(Findings("", {}), (), name)


def _logical_names(host: Snapshot) -> dict[str, str]:
    names: dict[str, str] = {}
    for pf in host.pfs.values():
        name = re.sub(r"[^A-Za-z0-9_-]", "-", pf.netdev).lstrip("-_") or "pf"
        names[pf.id] = name if name not in names.values() else f"{name}-{pf.device.replace(':', '-').replace('.', '-')}"
    return names


def _keys(nics: list[Nic]) -> list[str]:
    """A key for each: the one that gives back its alias, else a new one."""
    own = [_own_key(nic) for nic in nics]
    taken = {key for key in own if key is not None}
    keys = []
    for number, key in enumerate(own):
        new = f"nic{number}"
        while key is None and new in taken:
            new += "x"
        keys.append(key or new)
        taken.add(keys[-1])
    return keys


def _own_key(nic: Nic) -> str | None:
    key = (nic.alias or "").removeprefix(OWN_ALIAS)
    ours = (nic.alias or "").startswith(OWN_ALIAS) and alias_of(key) == nic.alias
    return key if ours and _fits(check_nic_key, key) else None


def _same(live: Nic, config: Nic) -> bool:
    if config.alias is not None and live.alias == config.alias:
        return True
    if config.mac is not None:
        return live.mac == config.mac
    return config.vf_address is not None and live.vf_address == config.vf_address


def _defaults(own: list[Attributes]) -> Attributes:
    """The most frequent spoofchk and trust, where all VFs report them."""
    defaults: Attributes = {}
    for name in ("spoofchk", "trust"):
        values = [values[name] for values in own if name in values]
        if values and len(values) == len(own):
            defaults[name] = Counter(values).most_common(1)[0][0]
    return defaults


def _ranges(own: dict[int, Attributes]) -> Data:
    """Tables of ``vf``, those with equal attributes (a MAC is never equal) put together."""
    groups: list[tuple[Attributes, list[int]]] = []
    for index, values in own.items():
        same = next((indices for attributes, indices in groups if attributes == values and "mac" not in values), None)
        if same is None:
            groups.append((values, [index]))
        else:
            same.append(index)
    return {_index_list(indices): values for values, indices in groups}


def _index_list(indices: list[int]) -> str:
    """``[0, 1, 2, 5]`` is ``0-2,5``."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
