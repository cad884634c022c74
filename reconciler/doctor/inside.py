"""Inside the guests, as far as their agents tell: whether all of a guest's processors take part in receiving, and
whether its VF is used for what a VF can't do."""

from __future__ import annotations

from shlex import quote

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found, vf_nics
from reconciler.host.model import Domain, Nic
from reconciler.host.platform import AgentState, Inside, InsideNic
from reconciler.kinds.holders import vfs_by_address

_WHY = (
    "Only from inside can be told whether one vCPU takes all packets (no irqbalance, fewer queues than vCPUs), and "
    "whether the VF was put under a Linux bridge, which doesn't work."
)
_WITHOUT: dict[AgentState, tuple[str, str, str]] = {
    "absent": (
        "no-guest-agent",
        "no channel for a guest agent",
        "Give the guest <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel> "
        "(`virsh edit`, or `virsh attach-device` while it runs) and install qemu-guest-agent in it, in Windows from "
        "virtio-win.",
    ),
    "disconnected": (
        "guest-agent-not-running",
        "a channel for a guest agent, and none is connected",
        "Install qemu-guest-agent in the guest, in Windows from virtio-win, and start it.",
    ),
    "silent": (
        "guest-agent-silent",
        "a guest agent that can't be used",
        'Restart qemu-guest-agent in the guest; `virsh qemu-agent-command GUEST \'{"execute": "guest-info"}\'` shows '
        "what it says.",
    ),
    "unasked": (
        "guest-agent-not-asked",
        "a guest agent that was not asked",
        "Run doctor as root, which libvirt lets talk to agents; if the time was over, run it again.",
    ),
}
_MOST_QUEUES = {"igbvf": 1, "ixgbevf": 2, "iavf": 4, "i40evf": 4}
"""Queues that a VF usually has, by its driver: 82576 (igbvf_main.c), 82599 and X540 (ixgbe), X710 (i40e, untrusted)."""
_NOT_VF = ("", "virtio_net")
"""Drivers of what may share a VF's MAC: a bridge, a VLAN, the master and the standby of a failover pair."""


def check_inside(facts: Facts) -> Found:
    """Running guests that have VFs. What isn't known stops nobody: it is told as a note."""
    guests = [domain for domain in facts.domains if domain.running and vf_nics(domain.live)]
    known = facts.platform.inside or {}
    missing = [domain.name for domain in guests if domain.name not in known]
    if missing:
        yield Unchecked("inside guests", f"whether {', '.join(missing)} can use what the VFs give")
    yield from _without_agent({domain.name: known[domain.name] for domain in guests if domain.name in known})
    for domain in guests:
        inside = known.get(domain.name)
        if inside is not None and inside.agent == "answers":
            yield from _limits(domain, inside)
            yield from _irqbalance(domain, inside)
            hidden = _hidden(facts, domain, inside)
            if hidden:
                yield _which(facts, domain, inside, hidden)
            for nic in vf_nics(domain.live):
                if nic not in hidden:
                    yield from _nic(facts, domain, inside, nic)


def _without_agent(known: dict[str, Inside]) -> Found:
    """One note for all that lack it for the same reason."""
    groups: dict[tuple[AgentState, str], list[str]] = {}
    for name, inside in known.items():
        if inside.agent != "answers":
            groups.setdefault((inside.agent, inside.reason), []).append(name)
    for (state, reason), names in groups.items():
        code, what, todo = _WITHOUT[state]
        told = f" ({reason})" if reason and state in ("silent", "unasked") else ""
        has = "has" if len(names) == 1 else "have"
        seen = f"What is inside can't be known: {', '.join(names)} {has} {what}{told}."
        yield Finding("note", code, "guests with VFs" if len(names) > 1 else f"guest {names[0]}", seen, _WHY, todo)


def _limits(domain: Domain, inside: Inside) -> Found:
    if inside.system == "mswindows":
        yield Finding(
            "note",
            "guest-runs-windows",
            f"guest {domain.name}",
            f"{domain.name} runs Windows, whose agent tells of vCPUs and interfaces only.",
            "Queues and drivers of its VFs are not known.",
            "See that the VF has the driver of the card's maker, and that RSS is on: Get-NetAdapterRss in PowerShell.",
        )
    if inside.unknown:
        yield Finding(
            "note",
            "guest-agent-limited",
            f"guest {domain.name}",
            f"{domain.name}'s agent doesn't tell all. {' '.join(inside.unknown)}",
            _WHY,
            "If it is to tell: allow guest-exec and guest-exec-status in the guest (RHEL: FILTER_RPC_ARGS or "
            "BLOCK_RPCS in /etc/sysconfig/qemu-ga; SELinux: virt_qemu_ga_run_unconfined). Else look inside: "
            "`systemctl status irqbalance`, `ethtool -l`, `bridge link`.",
        )


def _irqbalance(domain: Domain, inside: Inside) -> Found:
    if inside.processors == 1 or inside.irqbalance is None:
        return
    if inside.irqbalance:
        yield Checked("inside guests", f"{domain.name}: irqbalance runs")
        return
    vcpus = f"{inside.processors} vCPUs and " if inside.processors else ""
    yield Finding(
        "warning",
        "no-irqbalance-in-guest",
        f"guest {domain.name}",
        f"{domain.name} has {vcpus}no irqbalance running.",
        "The interrupts of its VFs may all be taken by one vCPU, which then is the limit.",
        "`apt install irqbalance` (dnf) in the guest and `systemctl enable --now irqbalance`; or pin the interrupts by "
        "hand, and leave this be.",
    )


def _hidden(facts: Facts, domain: Domain, inside: Inside) -> list[Nic]:
    """VFs of which their MAC doesn't tell which interface they are: one that none shows may be any of those that have
    a MAC in common, as the ports of a bond do; and then nor does that MAC."""
    if inside.nics is None:
        return []
    shown, common = {nic.mac for nic in inside.nics if nic.driver not in _NOT_VF}, set(_in_common(inside.nics))
    macs = [(nic, mac) for nic in vf_nics(domain.live) if (mac := _mac(facts, nic)) is not None]
    if not common or all(mac in shown for _, mac in macs):
        return []
    return [nic for nic, mac in macs if mac not in shown or mac in common]


def _in_common(nics: list[InsideNic]) -> dict[str, list[InsideNic]]:
    """Interfaces that may be VFs, by the MAC that several of them show. Where drivers aren't known the bond is one of
    them."""
    found = {}
    for mac in dict.fromkeys(nic.mac for nic in nics if nic.mac.strip("0:")):
        same = [nic for nic in nics if nic.mac == mac and nic.driver not in _NOT_VF]
        if len(same) >= (3 if any(nic.driver is None for nic in same) else 2):
            found[mac] = same
    return found


def _which(facts: Facts, domain: Domain, inside: Inside, hidden: list[Nic]) -> Finding:
    alike = "; ".join(
        f"{', '.join(nic.name for nic in nics)} show {mac}" for mac, nics in _in_common(inside.nics or []).items()
    )
    vfs = ", ".join(f"{_vf(facts, nic)} ({_mac(facts, nic)})" for nic in hidden)
    return Finding(
        "note",
        "vf-not-known-in-guest",
        f"guest {domain.name}",
        f"In {domain.name} it can't be told which interface is {vfs}: {alike}.",
        "The ports of a bond or team all show its MAC, not the one that their VF has: queues and bridges of these VFs "
        "are not told.",
        "Look inside: `grep . /sys/class/net/*/bonding_slave/perm_hwaddr` shows the MACs of a bond's ports, `lspci -k` "
        "the drivers. doctor reads them where the agent may run commands or read files.",
    )


def _nic(facts: Facts, domain: Domain, inside: Inside, nic: Nic) -> Found:
    """One VF, found inside by its MAC."""
    mac, vf = _mac(facts, nic), _vf(facts, nic)
    if inside.nics is None or mac is None:
        return
    found = [item for item in inside.nics if item.mac == mac]
    shown = next((item for item in found if item.driver not in _NOT_VF), None)
    if shown is None:
        yield Finding(
            "warning",
            "vf-not-seen-in-guest",
            f"guest {domain.name}",
            f"{domain.name} shows no interface of a VF with the MAC {mac} ({vf}).",
            "It has no driver for the VF, or has given it another MAC, or moved it into a container.",
            "`lspci -k` in the guest shows the driver: igbvf, ixgbevf, iavf, mlx5_core, …; in Windows it is the card "
            "maker's.",
        )
        return
    told = f"{domain.name}: {shown.name}" + (f" ({shown.driver})" if shown.driver else "") + f" is {vf}"
    if shown.queues and inside.processors and shown.queues < inside.processors:
        yield _few_queues(domain, shown, vf, inside.processors)
    elif shown.queues:
        told += f", {_count(shown.queues, 'queue')} for {_count(inside.processors, 'vCPU')}"
    if shown.bridge:
        yield Finding(
            "warning",
            "vf-bridged-in-guest",
            f"guest {domain.name}",
            f"{shown.name} in {domain.name} ({vf}) is a port of the Linux bridge {shown.bridge}.",
            "The card gives a VF only frames for its own MAC, so what is behind the bridge gets no answers.",
            "Take it out, and use routing, macvlan in passthru mode or Open vSwitch with the VF's own MAC; or give the "
            "bridge a virtio NIC.",
        )
    yield Checked("inside guests", told)


def _few_queues(domain: Domain, nic: InsideNic, vf: str, processors: int) -> Finding:
    most = _MOST_QUEUES.get(nic.driver or "")
    name = quote(nic.name)  # The guest has chosen it, and whoever reads this may paste it.
    usual = f" A VF of {nic.driver} usually has at most {most}." if most else ""
    return Finding(
        "note",
        "few-queues-in-guest",
        f"guest {domain.name}",
        f"{nic.name} in {domain.name} ({vf}) has {_count(nic.queues, 'receive queue')} for {processors} vCPUs.",
        f"No more than {nic.queues} of its vCPUs take packets off it.{usual}",
        f"`ethtool -l {name}` in the guest shows how many it can have, `ethtool -L {name} combined N` sets them. Where "
        "the VF has no more: a second VF, or RPS (rps_cpus in /sys/class/net/INTERFACE/queues/rx-0).",
    )


def _count(number: int | None, noun: str) -> str:
    return f"{'?' if number is None else number} {noun}{'' if number == 1 else 's'}"


def _vf(facts: Facts, nic: Nic) -> str:
    found = vfs_by_address(facts.host).get(nic.vf_address or "")
    return f"VF {found[1]} of {facts.host.pfs[found[0]].netdev}" if found is not None else f"VF {nic.vf_address}"


def _mac(facts: Facts, nic: Nic) -> str | None:
    """Of a plain hostdev, what the PF has for the VF; ``None`` when the guest chooses its own."""
    if nic.mac is not None:
        return nic.mac
    found = vfs_by_address(facts.host).get(nic.vf_address or "")
    vf = facts.host.pfs[found[0]].vf(found[1]) if found is not None else None
    mac = (vf.attributes or {}).get("mac") if vf is not None else None
    return mac if isinstance(mac, str) and mac.strip("0:") else None
