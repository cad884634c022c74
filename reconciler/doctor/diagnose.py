"""All checks, in the order in which things depend on each other."""

from __future__ import annotations

from reconciler.doctor.cards import check_capability, check_link, check_vf_driver
from reconciler.doctor.document import Checked, Finding, FindingSeverity, Report
from reconciler.doctor.facts import Facts, Found, make_facts
from reconciler.doctor.firmware import check_groups, check_iommu, check_processor, check_vfio
from reconciler.doctor.guests import check_bridges, check_limit, check_memory, check_ports
from reconciler.doctor.owners import check_owners
from reconciler.doctor.virtualisation import check_leftovers, check_libvirt, check_pools, check_qemu, check_strangers
from reconciler.host.model import Snapshot
from reconciler.host.platform import Platform
from reconciler.plan.document import Source
from reconciler.plan.planner import make_plan
from reconciler.state.desired import Desired

_CHECKS = (
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
)
_ORDER: dict[FindingSeverity, int] = {"problem": 0, "warning": 1, "note": 2}
_FROM_PLAN: dict[str, FindingSeverity] = {"error": "problem", "warning": "warning", "note": "note"}
_TOLD = frozenset({"pf-down"})
"""Codes of the plan whose subject has a check of its own here."""


def diagnose(
    host: Snapshot, platform: Platform, desired: Desired | None = None, source: Source | None = None
) -> Report:
    """What stands in the way of SR-IOV on this host; with a state file, of what the file asks for."""
    report = Report(host=host.host, source=source, unread=list(dict.fromkeys([*platform.notes, *host.notes])))
    if not host.pfs and not any(device.total_vfs for device in platform.capable or []):
        report.findings, report.unread = [_no_card(platform)], []
    else:
        facts = make_facts(host, platform, desired)
        found = [item for check in (*_CHECKS, check_fit) for item in check(facts)]
        report.checked = [item for item in found if isinstance(item, Checked)]
        report.findings = [item for item in found if isinstance(item, Finding)]
    report.findings.sort(key=lambda finding: _ORDER[finding.severity])
    if any(finding.severity == "problem" for finding in report.findings):
        report.verdict = "problems"
    return report


def _no_card(platform: Platform) -> Finding:
    hidden = "" if platform.capable is not None else " (as far as can be seen without root)"
    return Finding(
        "problem",
        "no-card",
        "cards",
        f"This machine has no network card that can make VFs{hidden}.",
    )


def check_fit(facts: Facts) -> Found:
    """Whether the state file fits the host: what its plan has to say."""
    if facts.desired is None:
        return
    plan = make_plan(facts.desired, facts.host)
    told = [item for item in plan.diagnostics if item.code not in _TOLD and item.severity != "note"]
    for item in told:
        yield Finding(
            _FROM_PLAN[item.severity],
            item.code,
            item.address or "state file",
            item.summary,
            item.detail,
            "",
            item.address,
            item.line,
        )
    if not any(item.severity == "error" for item in told):
        yield Checked("state file", f"fits this host; `reconciler plan` has {len(plan.actions)} actions")
