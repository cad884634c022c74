"""`drift`, `plan` and `inspect` can't write: under the hardening of contrib/systemd/reconciler-drift.service they see
all that they see without it, and every way of writing that the tool has is refused."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reconciler.host.protocol import Writer
from tests.lab.conftest import FILES, Host, Ran
from tests.lab.sandbox import UNIT, in_sandbox

STATE = "/etc/reconciler/host.toml"
PYTHON = "env PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps python3 -"
REFUSED = re.compile(
    r"Operation not permitted|Permission denied|Read-only file system|can't be reached|[Aa]uthentication required|"
    r"Access denied|Module igbvf not found in directory"
)
"""By the kernel; libvirt's socket, which is closed; systemd or polkit; the folder of modules, which is closed too."""


@pytest.fixture(scope="module")
def installed(host: Host) -> Host:
    """A host that is as its file says, with the unit on it."""
    host.sh("mkdir -p /etc/reconciler /etc/sysusers.d")
    host.sh(f"cat >{STATE}", input=(FILES / "read-only.toml").read_text())
    host.sh("cat >/etc/sysusers.d/reconciler-drift.conf", input=UNIT.with_suffix(".conf").read_text())
    host.sh(f"cat >/etc/systemd/system/{UNIT.name}", input=UNIT.read_text())
    # A unit that nothing refers to is forgotten when it ends, and its exit status with it.
    refers = f"systemd-run --quiet --property=After={UNIT.name} sleep infinity"
    host.sh(f"systemd-sysusers && systemctl daemon-reload && {refers}")
    host.reconciler(f"apply {STATE} --yes").expect(0)
    return host


def run_unit(host: Host) -> tuple[dict[str, str], str]:
    """Runs the unit: what systemd has of it then, and what came into the journal."""
    log = "journalctl --output=cat --identifier=reconciler-drift --cursor-file=/run/cursor"
    host.sh(f"{log} >/dev/null; systemctl start {UNIT.name}", timeout=300)
    properties = host.sh(f"systemctl show {UNIT.name} --property=Result,ExecMainStatus,ActiveState").split()
    return dict(line.split("=", 1) for line in properties), host.sh(log)


def inside_and_outside(host: Host, arguments: str) -> list[Ran]:
    """The same command in the sandbox and without it, side by side."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda prefix: host.reconciler(arguments, prefix=prefix), (in_sandbox(""), "")))


def without_times(document: Any) -> Any:
    """A document without the moment at which it was made; what only doctor reads is left out as well."""
    return {k: v for k, v in document.items() if k not in ("created_at", "taken_at", "observed_at", "platform")}


def test_systemd_has_nothing_to_say_against_the_unit(installed: Host) -> None:
    assert installed.sh(f"systemd-analyze verify /etc/systemd/system/{UNIT.name} 2>&1") == ""
    rated = installed.sh(f"systemd-analyze security --no-pager {UNIT.name}")
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert level is not None
    assert float(level[1]) < 2.5, rated


def test_the_unit_says_what_drift_says_and_drift_is_no_failure(installed: Host) -> None:
    state, said = run_unit(installed)
    assert state == {"Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}
    assert said.startswith("In sync")

    installed.sh("ip link set enp1s0 vf 0 vlan 41")
    state, said = run_unit(installed)
    outside = installed.reconciler(f"drift {STATE}").expect(2)
    assert state == {"Result": "success", "ExecMainStatus": "2", "ActiveState": "inactive"}
    assert said == outside.text
    assert "pf.int.vf.0" in said


@pytest.mark.parametrize(
    ("arguments", "code"), [(f"plan {STATE} --json --detailed-exitcode", 2), ("inspect --json", 0), ("snapshot", 0)]
)
def test_in_the_sandbox_everything_is_seen(installed: Host, arguments: str, code: int) -> None:
    inside, outside = inside_and_outside(installed, arguments)
    assert without_times(inside.expect(code).json) == without_times(outside.expect(code).json)
    assert inside.stderr == outside.stderr


def test_in_the_sandbox_every_way_of_writing_is_refused_and_outside_of_it_none(installed: Host) -> None:
    script = (FILES / "write.py").read_text()
    before = installed.observed()
    refused = json.loads(installed.sh(in_sandbox(PYTHON), input=script, timeout=300))
    assert {name for name in vars(Writer) if not name.startswith("_") and name != "clock"} <= refused.keys()
    assert {name: error for name, error in refused.items() if not REFUSED.search(error)} == {}
    assert installed.changes_since(before) == []

    done = json.loads(installed.sh(PYTHON, input=script, timeout=300))
    assert done == dict.fromkeys(refused, "")
    assert installed.changes_since(before) != []
