"""Arguments that several operations have: a plan written by hand can ask for no more than one that this tool wrote."""

from __future__ import annotations

from reconciler.state.checks import (
    ALIAS,
    BRIDGE,
    MAC,
    PCI_ADDRESS,
    POOL,
    VLAN,
    Check,
    either,
    nothing_or,
    table,
    vf,
    word,
)

_INTERFACE: dict[str, Check] = {"mac": nothing_or(MAC), "vlan": nothing_or(VLAN), "standby": nothing_or(ALIAS)}
NIC = either(
    vf=table({"method": word("interface", "hostdev"), "alias": ALIAS, "vf": vf}, _INTERFACE),
    pool=table({"method": word("pool"), "alias": ALIAS, "pool": POOL}, _INTERFACE),
)
"""A NIC as it is to stand in a domain's XML."""

STANDBY = table({"alias": ALIAS, "mac": MAC, "bridge": BRIDGE})
"""A virtio NIC that stands in for one of these."""

MATCH = either(alias=table({"alias": ALIAS}), mac=table({"mac": MAC}), vf=table({"vf": PCI_ADDRESS}))
"""How a NIC is found in a domain's XML."""
