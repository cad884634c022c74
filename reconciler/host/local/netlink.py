"""Links, addresses, routes and VF attributes as rtnetlink reports them. Reading only.

VF attributes are asked for one PF at a time, by interface index, without statistics: a dump with the VF
mask stalls the whole host's networking on drivers that ask their firmware per VF, and with statistics the
list of VFs outgrows its 16-bit length already at 222 VFs.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reconciler.host.local.link_reports import (
    ANY_ADDRESS,
    ANY_LINK,
    ANY_ROUTE,
    decode_addresses,
    decode_link,
    decode_routes,
    decode_way,
    route_request,
)
from reconciler.host.local.operator import Link, Links, Ssh, find_ssh, operator_uses
from reconciler.host.local.rtnl import RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE, RtnlSocket
from reconciler.host.local.sysfs import Sysfs
from reconciler.host.local.vf_reports import EXT_MASK, VfReport, decode
from reconciler.host.model import Pf, Use, Vf

_MISSING_SECONDS = 2.0


def read_links(ssh: Ssh | None = None) -> Links:
    """Three dumps: links (without the VF mask), addresses, routes; and the interfaces of an SSH connection. Raises
    OSError when the kernel refuses, or an answer is cut short."""
    with RtnlSocket() as socket:
        try:
            found = [decode_link(body) for body in socket.dump(RTM_GETLINK, ANY_LINK)]
            links = Links(
                {link.index: link for link in found},
                decode_addresses(socket.dump(RTM_GETADDR, ANY_ADDRESS)),
                decode_routes(socket.dump(RTM_GETROUTE, ANY_ROUTE)),
            )
        except ValueError as error:
            raise OSError(errno.EPROTO, str(error)) from error
        if ssh is not None:
            links.ssh = dict.fromkeys(interfaces_of(socket, links, ssh), ssh)
        return links


def interfaces_of(socket: RtnlSocket, links: Links, ssh: Ssh) -> Iterator[int]:
    """The interface that packets to the peer go out by (RTM_GETROUTE, from our own address, since rules may look at
    that), and the one that has our address."""
    peer, _, interface = ssh.peer.partition("%")
    local = ssh.local.partition("%")[0]
    if interface:
        yield from (index for index, link in links.by_index.items() if link.name == interface)
        return
    for source in (local, ""):
        try:
            if index := decode_way(socket.get(RTM_GETROUTE, route_request(peer, source))):
                yield index
            break
        except (OSError, ValueError):
            continue  # The address is not ours any more; or there is no route back, and so nothing to lose.
    yield from (
        index for index, listed in links.addresses.items() if any(item.partition("/")[0] == local for item in listed)
    )


def fill_vfs(pfs: Sequence[Pf], notes: list[str]) -> None:
    """Sets `Vf.attributes` of every VF. Entries that a driver leaves out for a moment (i40e and ice while
    a VF is reset) are asked for again, for 2 s over all PFs together; then they stay unknown, with a
    note. Raises OSError when there is no netlink."""
    until = time.monotonic() + _MISSING_SECONDS
    with RtnlSocket() as socket:
        for pf in pfs:
            while pf.vfs:
                report = _report(socket, pf, notes)
                if report is None:
                    break
                complete = not report.listed or all(vf.index in report.entries for vf in pf.vfs)
                if complete or time.monotonic() > until:
                    assign(pf, report, notes)
                    break
                time.sleep(0.1)


def read_network(
    pfs: Sequence[Pf], root: Path, environment: dict[str, str], pid: int
) -> tuple[Sequence[Pf], list[str]]:
    """The PFs with all that the network interfaces tell of them and their VFs, and notes. ``environment`` and ``pid``
    are those of whoever asks: by them the operator's own connection is known. Raises OSError."""
    own = Sysfs(root, [])
    fill_links(pfs, read_links(find_ssh(root, environment, pid)), own)
    fill_vfs(pfs, own.notes)
    return pfs, own.notes


def read_vfs(interfaces: Sequence[int]) -> list[bytes]:
    """What each PF says of its VFs at this moment, for `reconciler.host.local.vf_reports.decode`; ``interfaces``: their
    indices. Raises OSError."""
    with RtnlSocket() as socket:
        return [socket.get_link(interface, EXT_MASK) for interface in interfaces]


def complete(pf: Pf, report: VfReport) -> bool:
    """Whether a report has an entry of each VF that the PF had when it was last read, and of no other."""
    return report.count == len(pf.vfs) and report.entries.keys() == {vf.index for vf in pf.vfs}


def _report(socket: RtnlSocket, pf: Pf, notes: list[str]) -> VfReport | None:
    try:
        return decode(socket.get_link(pf.ifindex, EXT_MASK))
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        notes.append(f"{pf.netdev} ({pf.id}) does not answer a request for its VFs: {said}.")
        return None


def assign(pf: Pf, report: VfReport, notes: list[str]) -> None:
    """Gives each VF its attributes; notes the VFs that have no entry. Of a driver that lists no VFs at all
    (it has no ndo_get_vf_config) nothing is unknown: it reports no attribute of any VF."""
    if not report.listed:
        for vf in pf.vfs:
            vf.attributes = {}
        return
    for vf in pf.vfs:
        vf.attributes = report.entries.get(vf.index)
    missing = [vf.index for vf in pf.vfs if vf.attributes is None]
    if missing:
        notes.append(
            f"{pf.netdev} ({pf.id}) has {len(pf.vfs)} VFs and its driver reports {len(report.entries)}; "
            f"the attributes of VF {', '.join(map(str, missing))} are unknown."
        )
    stray = sorted(set(report.entries) - {vf.index for vf in pf.vfs})
    if stray or report.count != len(pf.vfs):
        notes.append(
            f"{pf.netdev} ({pf.id}) has {len(pf.vfs)} VFs in sysfs and {report.count} in its link message: "
            "their number is being changed, or a change of it is stuck in the kernel."
        )


def fill_links(pfs: Iterable[Pf], links: Links, sysfs: Sysfs) -> None:
    """Puts into the PFs what the link dump says of them, and the uses of their and their VFs' netdevs."""
    by_name = {link.parent: link for link in links.by_index.values() if link.parent}
    by_name |= {link.name: link for link in links.by_index.values()}
    for pf in pfs:
        link = links.by_index.get(pf.ifindex)
        if link is None:
            pf.uses.append(Use("unknown", f"{pf.netdev} is not among the links"))
            sysfs.notes.append(
                f"{pf.netdev} ({pf.id}) is not among the links: whether it is up, and its MTU, is unknown."
            )
        else:
            pf.netdev, pf.up, pf.mtu, pf.carrier = link.name, link.up, link.mtu, link.carrier
            pf.altnames, pf.mac = link.altnames, link.mac
            pf.speed = sysfs.speed(link.name)
            pf.uses.extend(uses(link, links, sysfs))
        for vf in pf.vfs:
            _fill_vf_uses(vf, by_name, links, sysfs)


def _fill_vf_uses(vf: Vf, by_name: dict[str, Link], links: Links, sysfs: Sysfs) -> None:
    if vf.netdev is None:
        return
    # udev renames the netdevs of new VFs one by one, so the name that sysfs showed may be outdated by now.
    link = by_name.get(vf.netdev) or by_name.get(vf.address or "")
    if link is None:
        vf.uses.append(Use("unknown", f"{vf.netdev} is not among the links"))
    else:
        vf.netdev = link.name
        vf.uses.extend(uses(link, links, sysfs))


def uses(link: Link, links: Links, sysfs: Sysfs) -> list[Use]:
    """In what ways the host uses a netdev; a link-local address alone is none."""
    found = operator_uses(links).get(link.index, [])
    found += [Use("address", address) for address in links.addresses.get(link.index, [])]
    found += [Use("route", route) for route in links.routes.get(link.index, [])]
    master = links.name(link.master) if link.master else None
    if master:
        found.append(Use("master", master))
    found += [Use("upper", upper) for upper in sysfs.uppers(link.name) if upper != master]
    return found
