"""``host_network = "ignore"``: NetworkManager and systemd-networkd keep their hands off the netdevs of a PF's VFs."""

from __future__ import annotations

from reconciler.host.model import Pf, Snapshot
from reconciler.host.protocol import Scope
from reconciler.kinds.field_state import FieldState
from reconciler.kinds.operation import Args, Operation
from reconciler.state.checks import PF, nothing_or, table, word
from reconciler.state.desired import DesiredPf

OP = "pf.set_host_network"


def managed(host: Snapshot, pf: Pf) -> dict[int, str]:
    """Who manages which of its VFs' netdevs, by index."""
    known = host.host_network.managed
    return {vf.index: known[vf.address] for vf in pf.vfs if vf.address is not None and vf.address in known}


def compare_host_network(where: str, desired: DesiredPf, pf: Pf | None, host: Snapshot) -> list[FieldState]:
    """The field ``host_network``: by our own files and by its effect. A bus without VF devices has no such netdevs."""
    declared, ignored = desired.host_network, host.host_network.ignored
    if declared is None or pf is None or pf.bus != "pci":
        return []
    if ignored is None:
        return [FieldState(where, "host_network", pf.id, declared, None, "unknown")]
    others = managed(host, pf)
    right = pf.id in ignored and not others
    note = "; ".join(
        f"{who} manages the interface of VF {', '.join(str(vf) for vf, by in others.items() if by == who)}"
        for who in dict.fromkeys(others.values())
    )
    observed = "ignore" if right else "managed"
    return [FieldState(where, "host_network", pf.id, declared, observed, "same" if right else "different", note)]


def _is_set(host: Snapshot, args: Args) -> bool:
    known, pf = host.host_network, host.pfs.get(args["pf"])
    if known.ignored is None:
        return False
    if args["host_network"] is None:
        return args["pf"] not in known.ignored
    return args["pf"] in known.ignored and (pf is None or not managed(host, pf))


def _set(host: Snapshot, args: Args) -> None:
    known, pf = host.host_network, host.pfs.get(args["pf"])
    known.ignored = ignored_after(host, args)
    if args["host_network"] is not None and pf is not None:
        own = {vf.address for vf in pf.vfs}
        known.managed = {vf: who for vf, who in known.managed.items() if vf not in own}


def ignored_after(host: Snapshot, args: Args) -> list[str]:
    """The PFs that our own files are to list."""
    others = set(host.host_network.ignored or []) - {args["pf"]}
    return sorted(others if args["host_network"] is None else {*others, args["pf"]})


OPERATIONS = (
    Operation(
        OP,
        table({"pf": PF, "host_network": nothing_or(word("ignore"))}),
        lambda args: Scope("host_network", ""),
        _is_set,
        _set,
        deadline=lambda args: 30.0,
    ),
)
