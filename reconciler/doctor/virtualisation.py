"""libvirt and QEMU: whether they answer, what is known of their versions, and pools that forgot who has their VFs."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found
from reconciler.doctor.versions import OLDEST_QEMU, QUIRKS, STARTS_ONCE, version_text
from reconciler.kinds.holders import find_holders
from reconciler.kinds.pool.forgotten import REMEDY, came_from, forgotten


def check_libvirt(facts: Facts) -> Found:
    """Reachable, and which version."""
    libvirt = facts.host.libvirt
    if not facts.wants_guests:
        return
    if not libvirt.available:
        yield Finding(
            "problem",
            "libvirt-unreachable",
            "libvirt",
            libvirt.reason or f"libvirt at {libvirt.uri} can't be reached.",
            "Guests and pools can neither be read nor changed, and nothing is said about them here.",
            "`systemctl status libvirtd` (or virtqemud and virtnetworkd); `systemctl start libvirtd.socket` starts it.",
        )
        return
    version = libvirt.version
    if version is None:
        yield Unchecked("libvirt", "its version, and so its known faults")
        return
    concerned = [quirk for quirk in QUIRKS if quirk.concerns(version) and quirk.matters(facts)]
    for quirk in concerned:
        yield Finding(
            "warning" if quirk.bug else "note",
            "libvirt-known-bug" if quirk.bug else "libvirt-lacks",
            "libvirt",
            f"libvirt {version_text(version)} {quirk.seen} (NEWS {version_text(quirk.until)}).",
            quirk.why,
            f"Update libvirt to {version_text(quirk.until)} or newer{quirk.otherwise}.",
        )
    if not any(quirk.bug for quirk in concerned):
        yield Checked("libvirt", f"{version_text(version)} at {libvirt.uri}")


def check_qemu(facts: Facts) -> Found:
    """The QEMU that libvirt starts guests with."""
    qemu, libvirt = facts.platform.qemu, facts.host.libvirt
    if not facts.wants_guests or not libvirt.available:
        return
    if qemu is None:
        yield Unchecked("QEMU", "its version")
        return
    oldest = next((least for since, least in OLDEST_QEMU if (libvirt.version or 0) >= since), 0)
    if not qemu:
        yield Finding(
            "problem",
            "no-qemu",
            "QEMU",
            "libvirt finds no QEMU.",
            "No guest can be started.",
            "Install it: qemu-system-x86 (Debian), qemu-kvm (RHEL).",
        )
    elif qemu < oldest:
        yield Finding(
            "problem",
            "qemu-too-old",
            "QEMU",
            f"QEMU is {version_text(qemu)}; libvirt {version_text(libvirt.version or 0)} wants {version_text(oldest)}.",
            "Guests will not start.",
            "Update QEMU.",
        )
    else:
        yield Checked("QEMU", version_text(qemu))


def check_pools(facts: Facts) -> Found:
    """Pools that forgot who has their VFs (`reconciler.kinds.pool.forgotten`), and those that are not active."""
    for network in facts.networks:
        lost = forgotten(facts.host, network)
        address = f"pool.{network.name}" if facts.desired is not None else ""
        if lost:
            who = ", ".join(f"{vf} by guest {guest}" for guest, vf in lost)
            yield Finding(
                "problem",
                "pool-forgot",
                f"pool {network.name}",
                f"The pool doesn't know that VFs of it are in use: {who}.",
                "It was stopped and started meanwhile, and will offer them again: the next guest fails to start with "
                '"is in use by driver QEMU", though other VFs are free.',
                REMEDY,
                address,
                facts.line(address),
            )
        elif not network.active:
            yield Finding(
                "note" if facts.desired is not None else "warning",
                "pool-inactive",
                f"pool {network.name}",
                f"The pool is not active, and autostart is {'on' if network.autostart else 'off'}.",
                f"Guests with a NIC of it don't start.{_autostart(facts)}",
                "`reconciler apply` starts it."
                if facts.desired
                else f"`virsh net-start {network.name}`, once its VFs are there.",
                address,
                facts.line(address),
            )
        else:
            yield Checked(
                "pools", f"{network.name}: active, {len(network.live_addresses)} VFs, {len(network.ports)} in use"
            )


def _autostart(facts: Facts) -> str:
    version = facts.host.libvirt.version
    if version is None or version < STARTS_ONCE:
        return ""
    return " libvirt tries autostart once per boot only, and VFs that come later are too late for it."


def check_leftovers(facts: Facts) -> Found:
    """VFs whose MAC and VLAN from before a guest were kept by libvirt and never put back: what it saved
    (``/run/libvirt/hostdevmgr``, which takes root to read) is still there, and nobody has the VF.

    libvirt 11.3.0 puts them back in all that was tried on igb: a pool that was stopped and started under the guest,
    QEMU killed while libvirtd was stopped, the PF down when the guest ended. So this is the trace of a libvirt that
    was interrupted. "Cannot allocate memory" on writing the MAC is what users report: ixgbe's table of MAC filters is
    full then (ixgbe_add_mac_filter). igb has no such answer, so the second piece of advice is not tried.
    """
    if not facts.wants_guests or not facts.host.libvirt.available:
        return
    holders = find_holders(facts.host)
    for pf in facts.pfs:
        left = [vf for vf in pf.vfs if vf.saved and not holders.get((pf.id, vf.index))]
        if not left:
            continue
        mac = left[0].saved.get("mac", "00:00:00:00:00:00") if left[0].saved else ""
        yield Finding(
            "warning",
            "vf-not-given-back",
            pf.netdev,
            f"Nobody has VF {', '.join(str(vf.index) for vf in left)} of {pf.netdev}, and libvirt still keeps what it "
            "was like before a guest had it.",
            "It was not put back: the VF keeps its last guest's MAC and VLAN.",
            f"`ip link set {pf.netdev} vf {left[0].index} mac {mac}`, or `reconciler apply` with the VF in the state "
            'file. If that says "Cannot allocate memory", make the VFs anew while no guest has one: '
            f"echo 0 >/sys/class/net/{pf.netdev}/device/sriov_numvfs, then their number.",
            facts.address(pf),
            facts.line(facts.address(pf)),
        )


def check_strangers(facts: Facts) -> Found:
    """VFs of a pool that a guest has by their address: the pool doesn't know, and offers them."""
    for network in facts.networks:
        for domain in facts.host.libvirt.domains.values():
            for nic in domain.live or domain.config:
                if nic.method in ("interface", "hostdev") and nic.vf_address in network.live_addresses:
                    if came_from(domain, nic.mac, network):
                        continue
                    yield Finding(
                        "warning",
                        "pool-vf-by-address",
                        f"pool {network.name}",
                        f"Guest {domain.name} names {nic.vf_address} itself, which is one of the pool's VFs.",
                        "The pool doesn't know of it and offers the VF to others, whose start then fails although "
                        "other VFs are free.",
                        "Take the VF out of the pool's list, or give the guest a NIC of the pool.",
                    )
