"""`drift`, `plan` and `inspect` can't write: under the hardening of contrib/systemd/reconciler-drift.service they see
all that they see without it, and every way of writing that the tool has is refused. The timer starts the unit, and its
answer comes into the journal and into a file of metrics."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.host.protocol import Writer
from tests.lab.conftest import FILES, Host, Ran
from tests.lab.machinery.basics import wait_until
from tests.lab.sandbox import UNIT, in_sandbox

STATE = "/etc/reconciler/host.toml"
TIMER = UNIT.with_suffix(".timer")
METRICS = "/run/reconciler-drift/reconciler.prom"
OFTEN = "[Timer]\nOnBootSec=\nOnUnitActiveSec=\nOnBootSec=1s\nOnUnitActiveSec=3s\nRandomizedDelaySec=0\n"
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
    for unit in (UNIT, TIMER):
        host.sh(f"cat >/etc/systemd/system/{unit.name}", input=unit.read_text())
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


def metrics(host: Host) -> dict[str, float]:
    """What the unit has written for Prometheus, as somebody reads it who is nobody in particular."""
    text = host.sh(f"su -s /bin/cat nobody {METRICS}")
    return {
        sample.name.removeprefix("reconciler_")
        + "".join(f" {sample.labels[name]}" for name in sorted(sample.labels)): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def entries(host: Host, *fields: str) -> list[dict[str, Any]]:
    """The unit's entries in the journal that have these fields."""
    found = host.sh(f"journalctl --quiet --output=json -u {UNIT.name} {' '.join(fields)}")
    return [json.loads(line) for line in found.splitlines()]


def inside_and_outside(host: Host, arguments: str) -> list[Ran]:
    """The same command in the sandbox and without it, side by side."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda prefix: host.reconciler(arguments, prefix=prefix), (in_sandbox(""), "")))


def without_times(document: Any) -> Any:
    """A document without the moment at which it was made. Left out as well: what only doctor reads, and the kernel's
    list of modules, whose folder is closed in the sandbox (it then says of a module that this can't be decided)."""
    left = {k: v for k, v in document.items() if k not in ("created_at", "taken_at", "observed_at", "platform")}
    left.get("modules", {}).pop("kernel", None)
    return left


def test_systemd_has_nothing_to_say_against_the_unit(installed: Host) -> None:
    both = f"/etc/systemd/system/{UNIT.name} /etc/systemd/system/{TIMER.name}"
    assert installed.sh(f"systemd-analyze verify {both} 2>&1") == ""
    rated = installed.sh(f"systemd-analyze security --no-pager {UNIT.name}")
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert level is not None
    assert float(level[1]) < 2.5, rated


def test_the_unit_says_what_drift_says_and_drift_is_no_failure(installed: Host) -> None:
    state, said = run_unit(installed)
    assert state == {"Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}
    assert said.startswith("In sync")
    found = metrics(installed)
    assert (found["in_sync"], found["last_check_exit_code"], found["drift_fields vf drift"]) == (1, 0, 0)
    clock = int(installed.sh("date +%s"))
    assert 0 <= clock - found["last_check_timestamp_seconds"] < 60
    assert 0 < found["last_apply_timestamp_seconds"] <= found["last_check_timestamp_seconds"]

    installed.sh("ip link set enp1s0 vf 0 vlan 41")
    state, said = run_unit(installed)
    outside = installed.reconciler(f"drift {STATE}").expect(2)
    assert state == {"Result": "success", "ExecMainStatus": "2", "ActiveState": "inactive"}
    assert said == outside.text
    (entry,) = entries(installed, "RECONCILER_VERDICT=drift")
    assert (entry["RECONCILER_FIELD"], entry["RECONCILER_DRIFT"], entry["PRIORITY"]) == ("pf.int.vf.0.vlan", "1", "4")
    found = metrics(installed)
    assert (found["in_sync"], found["last_check_exit_code"], found["drift_fields vf drift"]) == (0, 2, 1)


def test_a_check_that_fails_is_told_as_such_everywhere(installed: Host) -> None:
    installed.sh(f"cp {STATE} /root/kept && echo 'x =' >{STATE}")
    try:
        assert installed.sh(f"systemctl start {UNIT.name} && echo done", check=False) == ""
        found = metrics(installed)
        assert (found["in_sync"], found["last_check_exit_code"]) == (0, 65)
        assert entries(installed, "RECONCILER_VERDICT=failed", "RECONCILER_EXIT_CODE=65") != []
    finally:
        installed.sh(f"cat /root/kept >{STATE}")


def test_the_timer_looks_again_and_again_also_after_the_file_was_gone(installed: Host) -> None:
    def checked() -> int:
        return len(entries(installed, "MESSAGE_ID=6f1ec1f0f6c94f6da4f1a2d8a4f3b0a7"))

    folder = f"/run/systemd/system/{TIMER.name}.d"
    installed.sh(f"mkdir -p {folder} && cat >{folder}/often.conf", input=OFTEN)
    installed.sh(f"systemctl daemon-reload && systemctl start {TIMER.name}")
    before = checked()
    wait_until(lambda: checked() >= before + 2, "two checks", 240, 1)
    installed.sh(f"mv {STATE} /root/kept")
    skipped = f"journalctl --quiet --output=cat -u {UNIT.name} --grep='unmet condition'"
    wait_until(lambda: installed.sh(skipped, check=False) != "", "a check that is left out", 240, 1)
    before = checked()
    installed.sh(f"mv /root/kept {STATE}")
    wait_until(lambda: checked() > before, "another check", 240, 1)
    installed.sh(f"systemctl stop {TIMER.name}; rm -r {folder}; systemctl daemon-reload")
    # As install-units --remove does, so that no metrics of a check that is no longer made are collected.
    # A check that is under way is killed by the stop, and nothing is cleaned of a unit that has failed.
    stop = f"systemctl stop {UNIT.name} && (systemctl reset-failed {UNIT.name} || true)"
    clean = f"{stop} && systemctl clean --what=runtime -- {UNIT.name} && test ! -e {METRICS}"
    installed.sh(f"{clean} && {clean}")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (f"plan {STATE} --json --detailed-exitcode", 2),
        pytest.param("inspect --json", 0, marks=pytest.mark.long),
        pytest.param("snapshot", 0, marks=pytest.mark.long),
    ],
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

    # An initramfs takes minutes here: `test_an_initramfs_that_has_the_module_is_made_anew` makes one.
    refused.pop("rebuild_initramfs")
    done = json.loads(installed.sh(f"{PYTHON} rebuild_initramfs", input=script, timeout=300))
    assert done == dict.fromkeys(refused, "")
    assert installed.changes_since(before) != []
