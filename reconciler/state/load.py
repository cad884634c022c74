"""A state file's bytes become `Desired`, or every error that is in it."""

from __future__ import annotations

from reconciler.diagnostics import Diagnostic, StateFileError
from reconciler.state.desired import Desired, Policy
from reconciler.state.draft import Draft
from reconciler.state.findings import Findings
from reconciler.state.guests import build_domains, build_pools
from reconciler.state.host_kinds import build_cmdline, build_huge_pages, build_modules, build_services
from reconciler.state.pfs import build_pfs
from reconciler.state.rules import check_rules
from reconciler.state.shape import check_schema, check_shape
from reconciler.state.spec import PolicySpec, StateSpecFile
from reconciler.state.text import parse
from reconciler.state.values import check_host_name


def load(path: str, data: bytes) -> Desired:
    """The state file with these bytes; ``path`` is only for messages.

    Raises StateFileError with every error of the file.
    """
    return load_with_notes(path, data)[0]


def load_with_notes(path: str, data: bytes) -> tuple[Desired, list[Diagnostic]]:
    """Like `load`, with the warnings."""
    raw, positions = parse(path, data)
    findings = Findings(path, positions)
    if not check_schema(raw, findings):
        raise StateFileError(findings.errors)
    desired = build(check_shape(raw, findings), findings)
    if findings.errors:
        raise StateFileError(findings.errors)
    return desired, findings.warnings


def build(file: StateSpecFile, findings: Findings) -> Desired:
    """What a file means, as far as it can be told; what is wrong with it goes to ``findings``."""
    draft = Draft(findings)
    build_pfs(draft, file.pf or {})
    pools = build_pools(draft, file.pool or {})
    domains = build_domains(draft, file.domain or {}, pools)
    host_name = file.host.name if file.host else None
    if host_name is not None:
        check_host_name(findings, ("host", "name"), host_name)
    desired = Desired(
        host_name=host_name,
        policy=_build_policy(file.policy),
        cmdline=build_cmdline(draft, file.kernel),
        blacklist=build_modules(draft, "blacklist", file.modules),
        load=build_modules(draft, "load", file.modules),
        services=build_services(draft, file.services or {}),
        hugepages=build_huge_pages(draft, file.hugepages or {}),
        pfs=draft.pfs,
        pools=pools,
        domains=domains,
    )
    check_rules(draft, desired)
    return draft.finish(desired)


def _build_policy(spec: PolicySpec | None) -> Policy:
    given = spec.model_dump(exclude_none=True) if spec else {}
    return Policy(**given)
