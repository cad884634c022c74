"""Operations on a PF."""

from __future__ import annotations

from reconciler.drivers.table import facts
from reconciler.host.model import Pf, Snapshot, Vf
from reconciler.kinds.holders import predicted_address
from reconciler.kinds.operation import Args, Operation, pf_scope
from reconciler.state.checks import COUNT, MTU, PF, flag, table, word
from reconciler.state.desired import VF_ATTRIBUTES


def _pf(host: Snapshot, args: Args) -> Pf | None:
    return host.pfs.get(args["pf"])


def _link_set(host: Snapshot, args: Args) -> bool:
    pf = _pf(host, args)
    return pf is not None and pf.up == (args["link"] == "up")


def _set_link(host: Snapshot, args: Args) -> None:
    pf = host.pfs[args["pf"]]
    pf.up = args["link"] == "up"
    pf.carrier = False if pf.up else None


def _link_there(host: Snapshot, args: Args) -> bool:
    pf = _pf(host, args)
    return pf is not None and pf.carrier is True


def _wait_link(host: Snapshot, args: Args) -> None:
    host.pfs[args["pf"]].carrier = True


def _mtu_set(host: Snapshot, args: Args) -> bool:
    pf = _pf(host, args)
    return pf is not None and pf.mtu == args["mtu"]


def _set_mtu(host: Snapshot, args: Args) -> None:
    host.pfs[args["pf"]].mtu = args["mtu"]


def _autoprobe_set(host: Snapshot, args: Args) -> bool:
    pf = _pf(host, args)
    return pf is not None and pf.autoprobe == args["autoprobe"]


def _set_autoprobe(host: Snapshot, args: Args) -> None:
    host.pfs[args["pf"]].autoprobe = args["autoprobe"]


def _numvfs_set(host: Snapshot, args: Args) -> bool:
    """All VFs are there, by their virtfn links as well as by the kernel's count."""
    pf = _pf(host, args)
    return pf is not None and pf.num_vfs == args["vfs"] == len(pf.vfs)


def _fewer_vfs(host: Snapshot, args: Args) -> str:
    """The write makes all VFs before it returns; some drivers make fewer than they were asked for and say nothing
    (sriov_numvfs_store in drivers/pci/iov.c takes any count that is not negative; bnxt, bnx2x)."""
    pf = _pf(host, args)
    if pf is None or pf.num_vfs is None or pf.num_vfs >= args["vfs"]:
        return ""
    return (
        f"{pf.driver} took the order and made {pf.num_vfs} of {args['vfs']} VFs: the card has no room for more. "
        "Declare at most that many, or free what they take (queues, other ports' VFs)."
    )


def _set_numvfs(host: Snapshot, args: Args) -> None:
    pf = host.pfs[args["pf"]]
    known = facts(pf.driver, pf.device_id)
    pf.num_vfs = args["vfs"]
    pf.vfs = [] if args["vfs"] < len(pf.vfs) else pf.vfs
    if known.count.bounces_pf and pf.up:
        pf.carrier = False
    driver = known.vf_driver if probed(host, pf) else None
    # All at once: each address is looked for among the VFs that there are already.
    pf.vfs += [
        Vf(index, address=predicted_address(pf, index), driver=driver, attributes=dict(known.fresh or {}))
        for index in range(len(pf.vfs), args["vfs"])
    ]


def _forget_vfs(host: Snapshot, args: Args) -> None:
    """VFs that were made again are new ones: what was written to the old ones, and can't be read, counts no more."""
    for identity in [key for key in host.ledger if key.startswith(f"{args['pf']}/")]:
        vf = host.pfs[args["pf"]].vf(int(identity.rpartition("/")[2])) if args["pf"] in host.pfs else None
        reported = (vf.attributes if vf is not None else None) or {}
        host.ledger[identity] = {
            name: applied
            for name, applied in host.ledger[identity].items()
            if name in reported or name not in VF_ATTRIBUTES
        }


def probed(host: Snapshot, pf: Pf) -> bool:
    """Whether a host driver takes new VFs, as far as can be told: it is kept away by autoprobe, or because it isn't
    loaded and is blacklisted."""
    if pf.bus != "pci" or pf.autoprobe is False:
        return False
    module = facts(pf.driver, pf.device_id).vf_driver
    listed = {entry.module for entry in host.modules.blacklist or []} | set(host.modules.own or [])
    return module in (host.modules.loaded or []) or module not in listed


def _numvfs_deadline(args: Args) -> float:
    # 7 VFs of an igb take 1 s, 63 of an ixgbe with its driver loaded 10 s; firmware calls can take far longer.
    return 30.0 + 2.0 * float(args["vfs"])


OPERATIONS = (
    Operation("pf.set_link", table({"pf": PF, "link": word("up", "down")}), pf_scope, _link_set, _set_link),
    Operation("pf.wait_link", table({"pf": PF}), pf_scope, _link_there, _wait_link, deadline=lambda args: 30.0),
    Operation("pf.set_mtu", table({"pf": PF, "mtu": MTU}), pf_scope, _mtu_set, _set_mtu),
    Operation("pf.set_autoprobe", table({"pf": PF, "autoprobe": flag}), pf_scope, _autoprobe_set, _set_autoprobe),
    Operation(
        "pf.set_numvfs",
        table({"pf": PF, "vfs": COUNT}),
        pf_scope,
        _numvfs_set,
        _set_numvfs,
        fell_short=_fewer_vfs,
        forget=_forget_vfs,
        deadline=_numvfs_deadline,
    ),
)
