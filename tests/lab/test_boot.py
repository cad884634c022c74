"""The boot: with the units, VFs, pool and guests are as declared without anyone logging in; without them they are not.
Each test begins with what the one before it leaves."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import Host
from tests.lab.machinery.basics import wait_until

FILE = """schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 7
vf_driver = "none"

[pf.int.vf.0]
vlan = 100
max_tx_rate = 100

[pf.gone]
match = { address = "0000:0a:00.0" }
vfs = 4

[pf.ext]
match = { name = "enp2s0" }
link = "up"
vfs = 3
vf_driver = "none"

[pool.shared]
pf = "ext"
autostart = true

[domain.db1.nic.fast]
vf = "int/1"
method = "hostdev"
mac = "52:54:00:6d:95:01"

[domain.db1.nic.data]
pool = "shared"
mac = "52:54:00:6d:95:02"

[domain.web9.nic.data]
pool = "shared"
"""
"""With a card that isn't there, and a guest that libvirt doesn't know."""
STATE = "/etc/reconciler/host.toml"
BOOT, GUESTS = "reconciler-boot.service", "reconciler-guests.service"


def shown(host: Host, unit: str, *names: str) -> list[str]:
    """Properties of a unit, as systemd has them."""
    return [host.sh(f"systemctl show --value -p {name} {unit}").strip() for name in names]


def running(host: Host) -> set[str]:
    return set(host.sh("virsh list --name").split())


def has_its_vfs(host: Host) -> None:
    """db1 has the VF that it names, and one of the pool's."""
    nics = host.nics("db1")
    assert nics["ua-rec-fast"].address == host.vf_address("enp1s0", 1)
    assert nics["ua-rec-data"].address in {host.vf_address("enp2s0", index) for index in range(3)}


def figures(host: Host) -> None:
    """How long the boot took, and its slowest units (pytest -rP shows it)."""
    print(host.sh("systemd-analyze time; systemd-analyze blame --no-pager | head -12"))
    logged = host.sh("journalctl -b -o short-monotonic --no-hostname -u 'reconciler-*'").splitlines()
    print(*(line for line in logged if re.search(r"systemd|Appl|: \[\d|Done", line)), sep="\n")


def console(host: Host) -> str:
    """What db1 has said, a line per card that it has got."""
    return host.sh("cat /var/log/lab/db1.log")


def test_one_command_installs_units_without_a_fault(host: Host) -> None:
    host.sh(f"mkdir /etc/reconciler; cat >{STATE}; virsh autostart db1", input=FILE)
    host.reconciler("install-units").expect(0).says(f"Enabled: {BOOT}", f"Enabled: {GUESTS}")
    host.reconciler("install-units").expect(0).says("Nothing to do")
    host.sh("systemctl disable --now reconciler-drift.timer")  # Its unit fails for a card that can't be looked at.
    verified = host.lab.run("systemd-analyze verify --man=no /etc/systemd/system/reconciler-*", 120, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize("asks", [True, False])
def test_a_unit_that_asks_for_more_time_gets_it(host: Host, asks: bool) -> None:
    """As each step of an apply does: systemd's word that it takes it from a oneshot service, too."""
    code = "import time; from reconciler.host.local.service_manager import take_longer; "
    code += f"{'take_longer(60); ' if asks else ''}time.sleep(14)"
    limits = "-p Type=oneshot -p NotifyAccess=main -p TimeoutStartSec=7s -E PYTHONPATH=/opt/reconciler/src"
    ended = host.lab.run(f"systemd-run --wait --quiet --collect {limits} python3 -c '{code}'", 120, check=False)
    assert (ended.returncode == 0) is asks


def test_after_a_reboot_all_is_there_without_anyone_logging_in(host: Host) -> None:
    """From a fresh image: no pool was defined yet, and the guest had no NIC."""
    host.lab.reboot()
    vfs = host.vfs("enp1s0")
    assert (len(vfs), vfs[0]["vlan"], vfs[0]["max_tx_rate"], vfs[1]["mac"]) == (7, 100, 100, "52:54:00:6d:95:01")
    assert host.vf_drivers("enp1s0") == {index: "vfio-pci" if index == 1 else "" for index in range(7)}
    info = host.net_info("shared")
    assert (info["Active"], info["Autostart"]) == ("yes", "yes")
    assert running(host) == {"db1"}
    has_its_vfs(host)
    wait_until(lambda: "95:01" in console(host) and "95:02" in console(host), "db1 has both its cards", 120)


def test_what_is_missing_fails_no_boot_and_is_named(host: Host) -> None:
    assert host.sh("systemctl is-system-running") == "running\n"
    for unit in (BOOT, GUESTS):
        assert shown(host, unit, "Result", "ExecMainStatus") == ["success", "4"]
        (status,) = shown(host, unit, "StatusText")
        assert status.startswith("VFs: 10 of 14; left out: domain.web9 (libvirt doesn't know this guest), pf.gone (")
    assert "Status:" in host.sh(f"systemctl status {BOOT}")


def test_vfs_are_made_before_the_network_is_configured_and_before_libvirt(host: Host) -> None:
    figures(host)
    (made,) = shown(host, BOOT, "ExecMainExitTimestampMonotonic")
    for daemon in ("systemd-networkd.service", "libvirtd.service", GUESTS):
        (begun,) = shown(host, daemon, "InactiveExitTimestampMonotonic")
        assert int(made) < int(begun), daemon


@pytest.mark.long
def test_from_the_second_boot_on_libvirt_starts_pool_and_guest_by_itself(host: Host) -> None:
    host.lab.reboot()
    assert (host.net_info("shared")["Active"], running(host)) == ("yes", {"db1"})
    has_its_vfs(host)
    said = host.sh(f"journalctl -b -o cat -u {GUESTS}")
    assert "Left out because of an error" in said
    assert "pool.shared: start" not in said
    assert "attach" not in said


@pytest.mark.long
def test_without_the_units_the_pool_is_inactive(host: Host) -> None:
    host.reconciler("install-units --remove").expect(0).says(f"Removed: /etc/systemd/system/{BOOT}")
    assert host.sh("ls /etc/systemd/system | grep reconciler || true") == ""
    host.lab.reboot()
    figures(host)
    assert host.numvfs("enp1s0") == 0
    info = host.net_info("shared")
    assert (info["Active"], info["Autostart"]) == ("no", "yes")
    assert running(host) == set()
