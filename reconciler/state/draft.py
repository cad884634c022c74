"""What the builders and the rules share while a file is being read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.state.address import address
from reconciler.state.desired import (
    VF_ATTRIBUTES,
    AttributeValue,
    Desired,
    DesiredNic,
    DesiredPf,
    DesiredPool,
)
from reconciler.state.findings import Findings
from reconciler.state.positions import Path
from reconciler.state.refs import RefError, parse_indexes, parse_vfs
from reconciler.state.spec import VfAttributesSpec
from reconciler.state.values import read_mac

MAX_NAMED_VFS = 100_000
"""In one file, ranges expanded: beyond any host, and still read in seconds."""


@dataclass(slots=True)
class PoolEntry:
    """One reference of a pool's ``vfs``."""

    key: Path
    pf: str
    indexes: tuple[int, ...]


@dataclass(slots=True)
class Draft:
    """A state file on its way to `Desired`. Bad values are missing in it, and are among the findings."""

    findings: Findings
    places: dict[str, Path] = field(default_factory=dict)
    """Key path by address and by ``address.field``, ranges expanded."""
    pfs: dict[str, DesiredPf] = field(default_factory=dict)
    pool_entries: dict[str, list[PoolEntry]] = field(default_factory=dict)
    named_vfs: int = 0

    def __post_init__(self) -> None:
        for key in self.findings.positions:
            if _is_plain(key):
                self.places[address(*key)] = key

    def source(self, pf: str, index: int, attribute: str) -> tuple[AttributeValue, Path] | None:
        """What the file says of a VF's attribute, and where: its own entry goes before ``vf_defaults``."""
        spec = self.pfs[pf]
        vf = spec.vf.get(index)
        if vf is not None and attribute in vf.attributes:
            return vf.attributes[attribute], self.places[address("pf", pf, "vf", index, attribute)]
        if attribute in spec.vf_defaults:
            return spec.vf_defaults[attribute], ("pf", pf, "vf_defaults", attribute)
        return None

    def attributes(self, key: Path, spec: VfAttributesSpec) -> dict[str, AttributeValue]:
        """The declared attributes of a table at ``key``, normalised."""
        found: dict[str, AttributeValue] = {}
        for name in VF_ATTRIBUTES:
            value = getattr(spec, name, None)
            if name == "mac" and value is not None:
                value = read_mac(self.findings, (*key, "mac"), value)
            if value is not None:
                found[name] = value
        return found

    def indexes(self, key: Path, text: str) -> tuple[int, ...]:
        """The VFs of an index key; none when it can't be read."""
        if self._is_full(key):
            return ()
        try:
            found = parse_indexes(text)
        except RefError as error:
            self.findings.error(key, "invalid-index", f"{_sentence(error)}")
            return ()
        self.named_vfs += len(found)
        return found

    def vfs(self, key: Path, text: str, *, bounded: bool) -> tuple[str, tuple[int, ...]] | None:
        """The VFs that a reference names; None when it can't be read or its PF is not declared.

        ``bounded``: they have to be among the PF's VFs (what is declared absent may name others).
        """
        if self._is_full(key):
            return None
        try:
            pf, found = parse_vfs(text)
        except RefError as error:
            self.findings.error(key, "invalid-reference", _sentence(error))
            return None
        self.named_vfs += len(found)
        if not self.declared(key, "pf", pf):
            return None
        if bounded:
            self.check_indexes(key, pf, found)
        return pf, found

    def declared(self, key: Path, kind: str, name: str) -> bool:
        """Reports a reference to a PF or pool that the file does not declare."""
        if self.findings.said((kind, name)):
            return True
        missing = address(kind, name)
        hint = self.findings.suggest(name, self.findings.names(kind))
        hint = hint or f": add [{missing}], or name one that is there."
        self.findings.error(key, "undeclared", f"There is no {missing}{hint}")
        return False

    def check_indexes(self, key: Path, pf: str, indexes: tuple[int, ...]) -> None:
        """Reports indexes that are beyond the declared number of VFs of the PF."""
        count = self.pfs[pf].vfs if pf in self.pfs else None
        if count is None or not indexes or indexes[-1] < count:
            return
        line = self.findings.line(("pf", pf, "vfs"))
        last = f"the last index is {count - 1}" if count else "there is none"
        detail = f"{address('pf', pf)} has vfs = {count} (line {line}): {last}, and this is {indexes[-1]}."
        self.findings.error(key, "index-beyond-vfs", detail)

    def finish(self, desired: Desired) -> Desired:
        """Adds the source lines."""
        for where, key in self.places.items():
            desired.lines[where] = self.findings.line(key)
        return desired

    def _is_full(self, key: Path) -> bool:
        if self.named_vfs <= MAX_NAMED_VFS:
            return False
        self.findings.error(key, "too-many-vfs", f"At most {MAX_NAMED_VFS} are read in one file, ranges expanded.")
        return True


def present_nics(desired: Desired) -> Iterator[DesiredNic]:
    """NICs that are to be there."""
    for domain in desired.domains.values():
        yield from (nic for nic in domain.nics.values() if nic.state == "present")


def present_pools(desired: Desired) -> Iterator[DesiredPool]:
    """Pools that are to be there."""
    return (pool for pool in desired.pools.values() if pool.state == "present")


def nic_key(nic: DesiredNic) -> Path:
    """Its key path in the file."""
    return ("domain", nic.domain, "nic", nic.key)


def _is_plain(key: Path) -> bool:
    """Whether a path is that of a thing or a field: no element of a list, no range, no mere container."""
    if any(isinstance(part, int) for part in key):
        return False
    container = len(key) == 1 and key[0] in ("pf", "pool", "domain", "services", "hugepages")
    container = container or (len(key) == 3 and (key[0], key[2]) in (("pf", "vf"), ("domain", "nic")))
    return not container and not (len(key) > 3 and key[0] == "pf" and key[2] == "vf")


def _sentence(error: RefError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
