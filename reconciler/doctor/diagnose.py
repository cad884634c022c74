"""All checks, in the order in which things depend on each other."""

from __future__ import annotations

from reconciler.doctor.cards import check_capability, check_link, check_vf_driver
from reconciler.doctor.document import Checked, Finding, FindingSeverity, Report, Unchecked
from reconciler.doctor.facts import make_facts
from reconciler.doctor.failover import check_failover
from reconciler.doctor.firmware import check_groups, check_iommu, check_processor, check_vfio
from reconciler.doctor.fit import check_fit, check_host
from reconciler.doctor.guests import check_bridges, check_limit, check_ports
from reconciler.doctor.inside import check_inside
from reconciler.doctor.memory import check_memory
from reconciler.doctor.owners import check_owners
from reconciler.doctor.virtualisation import check_leftovers, check_libvirt, check_pools, check_qemu, check_strangers
from reconciler.host.model import Snapshot
from reconciler.host.platform import Platform
from reconciler.plan.document import Source
from reconciler.state.desired import Desired

_CHECKS = (
    check_host,
    check_processor,
    check_iommu,
    check_vfio,
    check_capability,
    check_groups,
    check_vf_driver,
    check_link,
    check_owners,
    check_libvirt,
    check_qemu,
    check_pools,
    check_leftovers,
    check_strangers,
    check_memory,
    check_ports,
    check_limit,
    check_bridges,
    check_failover,
    check_inside,
    check_fit,
)
_ORDER: dict[FindingSeverity, int] = {"problem": 0, "warning": 1, "note": 2}


def diagnose(
    host: Snapshot, platform: Platform, desired: Desired | None = None, source: Source | None = None
) -> Report:
    """What stands in the way of SR-IOV on this host; with a state file, of what the file asks for."""
    report = Report(host=host.host, source=source, unread=list(dict.fromkeys([*platform.notes, *host.notes])))
    facts = make_facts(host, platform, desired)
    if not host.pfs and not any(device.total_vfs for device in platform.capable or []):
        found = [_no_card(platform), *check_host(facts)]
    else:
        found = [item for check in _CHECKS for item in check(facts)]
    report.checked = [item for item in found if isinstance(item, Checked)]
    report.findings = [item for item in found if isinstance(item, Finding)]
    report.unchecked = [item for item in found if isinstance(item, Unchecked)]
    report.findings.sort(key=lambda finding: _ORDER[finding.severity])
    if any(finding.severity == "problem" for finding in report.findings):
        report.verdict = "problems"
    elif report.unchecked:
        report.verdict = "incomplete"
    return report


def _no_card(platform: Platform) -> Finding:
    hidden = "" if platform.capable is not None else " (as far as could be read)"
    return Finding(
        "problem",
        "no-card",
        "cards",
        f"This machine has no network card that can make VFs{hidden}.",
        "There is nothing to give to guests.",
        "Put one in. If there is one: see that its driver is loaded, and run doctor as root, which can look into the "
        "card's configuration space.",
    )
