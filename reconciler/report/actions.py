"""The order of a plan in short sentences: one for an action, or for a run of actions on VFs of a PF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.report.folding import folded_address, split_vf
from reconciler.report.style import listed, plural
from reconciler.report.values import human

Args = dict[str, Any]


def sentence(action: dict[str, Any]) -> str:
    """``pf.int: make 7 VFs``. An operation of a later version comes out with its arguments as they are."""
    return f"{action['address']}: {_what(action['op'], action.get('args') or {})}"


def _what(op: str, args: Args) -> str:
    tell = _SENTENCES.get(op)
    try:
        if tell is not None:
            return tell(args)
    except (KeyError, TypeError, ValueError, IndexError):
        return _plain(op, args)  # A saved plan may have been written by hand, or by another version.
    return _plain(op, args)


def _plain(op: str, args: Args) -> str:
    return " ".join([op, *(f"{name}={human(name, value, missing='null')}" for name, value in args.items())])


def _blacklist(args: Args) -> str:
    modules = args["modules"]
    return f"keep {listed(modules)} from loading" if modules else "remove our blacklist file"


def _cmdline(args: Args) -> str:
    arguments = args["arguments"]
    return f"have the kernel started with {' '.join(arguments)}" if arguments else "take our kernel arguments out"


def _load_at_boot(args: Args) -> str:
    modules = args["modules"]
    return f"have {listed(modules)} loaded at boot" if modules else "remove our list of modules to load"


def _service(args: Args) -> str:
    if "boot" in args:
        return "start it at boot" if args["boot"] == "enabled" else "do not start it at boot"
    return "start it" if args["now"] == "running" else "stop it"


def _huge_pages(args: Args) -> str:
    pages, when = (args["now"], "") if "now" in args else (args["boot"], " at boot")
    if pages is None:
        return "make none at boot"
    if isinstance(pages, dict):
        return f"make it {listed([f'{count} pages on {node}' for node, count in pages.items()])}{when}"
    return f"make it {plural(int(pages), 'page')}{when}"


def _numvfs(args: Args) -> str:
    return f"make {plural(int(args['vfs']), 'VF')}" if args["vfs"] else "remove all VFs"


def _autoprobe(args: Args) -> str:
    return f"{'let' if args['autoprobe'] else 'do not let'} the host's VF driver take new VFs"


def _host_network(args: Args) -> str:
    who = "NetworkManager and systemd-networkd"
    reads = "; networkd reads all its files again"
    return f"have {who} leave its VFs alone{reads}" if args["host_network"] else f"let {who} have its VFs again"


_DRIVERS = {
    "none": "unbind from its driver",
    "kernel": "bind to the host's VF driver",
    "vfio-pci": "bind to vfio-pci",
}


def _bind(args: Args) -> str:
    return _DRIVERS.get(args["driver"]) or f"bind to {args['driver']}"


def _set(args: Args) -> str:
    values = ", ".join(f"{name} {human(name, value)}" for name, value in args["set"].items())
    return f"set {values}" if "pf" in args else f"set {values} on its VF"


def _define(args: Args) -> str:
    if "pf" in args:
        return f"define it with all VFs of {_device(args['pf'])}"
    return f"define it with {plural(len(args['vfs']), 'VF')} ({human('vfs', args['vfs'])})"


def _autostart(args: Args) -> str:
    return f"turn autostart {human('autostart', args['autostart'])}"


def _device(identity: str) -> str:
    """The device of a PF's identity (``pci/0000:01:00.0``)."""
    return identity.partition("/")[2] or identity


def _nic_of(args: Args) -> str:
    nic = args["nic"]
    if nic.get("vf") is not None:
        return f"VF {nic['vf'][1]} of {_device(nic['vf'][0])}"
    return f"a VF of pool {nic['pool']}"


def _where(args: Args) -> str:
    """In which of the guest's two XMLs."""
    if args["live"]:
        return f"running guest {args['domain']}" + (" and its definition" if args["config"] else "")
    return f"the definition of {args['domain']}, for its next start"


def _attach(args: Args) -> str:
    return f"attach {_nic_of(args)} to {_where(args)}"


def _detach(args: Args) -> str:
    return f"detach from {_where(args)}"


def _attach_standby(args: Args) -> str:
    return f"attach a virtio NIC on {args['standby']['bridge']} that stands in for it to {_where(args)}"


def _detach_standby(args: Args) -> str:
    return f"detach the virtio NIC that stands in for it from {_where(args)}"


def _move_standby(args: Args) -> str:
    return f"put the virtio NIC that stands in for it on {args['bridge']} in {_where(args)}"


def _update(args: Args) -> str:
    return f"rewrite it in the definition of {args['domain']}: {_nic_of(args)}"


_SENTENCES: dict[str, Callable[[Args], str]] = {
    "kernel.set_cmdline": _cmdline,
    "modules.set_blacklist": _blacklist,
    "modules.rebuild_initramfs": lambda args: f"rebuild the initramfs, which has {listed(args['modules'])}",
    "modules.set_load": _load_at_boot,
    "modules.unload": lambda args: f"unload {args['module']}",
    "modules.load": lambda args: f"load {args['module']}",
    "service.set": _service,
    "hugepages.set": _huge_pages,
    "pf.set_host_network": _host_network,
    "pf.set_link": lambda args: f"set the link {args['link']}",
    "pf.wait_link": lambda args: "wait for the carrier",
    "pf.set_mtu": lambda args: f"set the MTU to {args['mtu']}",
    "pf.set_autoprobe": _autoprobe,
    "pf.set_numvfs": _numvfs,
    "vf.bind": _bind,
    "vf.set": _set,
    "pool.define": _define,
    "pool.create": lambda args: _define(args).replace("define it", "start it", 1),
    "pool.start": lambda args: "start it",
    "pool.stop": lambda args: "stop it",
    "pool.set_autostart": _autostart,
    "pool.undefine": lambda args: "undefine it",
    "nic.attach": _attach,
    "nic.detach": _detach,
    "nic.update": _update,
    "nic.attach_standby": _attach_standby,
    "nic.detach_standby": _detach_standby,
    "nic.move_standby": _move_standby,
    "domain.set_root_ports": lambda args: f"have {plural(int(args['free']), 'free PCIe root port')} in its definition",
    "domain.drop_root_ports": lambda args: "take the PCIe root ports that were added out of its definition",
}


@dataclass(slots=True)
class Run:
    """Consecutive actions told as one: a single one, or ``vf.set``s or ``vf.bind``s on VFs of one PF."""

    first: int
    """Number of its first action in the plan, from 1."""
    disruption: str
    impossible: str
    """Why it can't be taken back, "" when it can."""
    actions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def numbers(self) -> str:
        """``4`` or ``4-10``."""
        last = self.first + len(self.actions) - 1
        return str(self.first) if last == self.first else f"{self.first}-{last}"

    @property
    def sentence(self) -> str:
        """``pf.int.vf.[0-6]: set max_tx_rate on 7 VFs``, with the values where all have the same."""
        one = self.actions[0]
        addresses = dict.fromkeys(action["address"] for action in self.actions)
        if len(self.actions) == 1:
            return sentence(one)
        vfs = f" on {plural(len(addresses), 'VF')}" if len(addresses) > 1 else ""
        where = folded_address(addresses)
        if one["op"] == "vf.bind":
            return f"{where}: {_what('vf.bind', one['args'])}{vfs}"
        return f"{where}: set {_values(self.actions, len(addresses))}{vfs}"


def _values(actions: list[dict[str, Any]], vfs: int) -> str:
    """Names of what is set, with the value where all VFs get the same."""
    seen: dict[str, list[str]] = {}
    for action in actions:
        for name, value in action["args"]["set"].items():
            seen.setdefault(name, []).append(human(name, value))
    return ", ".join(
        f"{name} {values[0]}" if len(values) == vfs and len(set(values)) == 1 else name for name, values in seen.items()
    )


def runs(actions: Iterable[dict[str, Any]]) -> list[Run]:
    """All actions in their order, in runs."""
    found: list[Run] = []
    last: Any = None
    for number, action in enumerate(actions, 1):
        key = run_key(action)
        if key is None or key != last:
            undo = action.get("undo") or {}
            found.append(Run(number, action.get("disruption", "none"), undo.get("impossible", "")))
        found[-1].actions.append(action)
        last = key
    return found


def run_key(action: dict[str, Any]) -> Any:
    """What consecutive actions must share to be told as one; ``None``: always told alone."""
    op, args = action["op"], action.get("args") or {}
    if op == "vf.set" and isinstance(args.get("set"), dict):
        what = ""
    elif op == "vf.bind":
        what = args.get("driver", "")
    else:
        return None
    vf = split_vf(action["address"])
    impossible = (action.get("undo") or {}).get("impossible", "")
    return (op, what, vf[0] if vf else action["address"], action.get("disruption", "none"), impossible)
