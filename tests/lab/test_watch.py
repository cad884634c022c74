"""`watch` as the systemd unit runs it: VFs have what is declared for whoever gets them by hot-plug, which has no hook,
and lose it when they are given back. What it may not write is tried in its own view of the file system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.conftest import FILES, Host
from tests.lab.machinery.basics import wait_until

UNIT = Path(__file__).parents[2] / "contrib/systemd/reconciler-watch.service"
FILE = "/etc/reconciler/host.toml"
LIBVIRT = "libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service"
NIC = (
    """<interface type='network'><source network='shared'/><mac address='{mac}'/><alias name='{alias}'/></interface>"""
)

FREE = ("00:00:00:00:00:00", 0, True, False)
PLUGGED = ("52:54:00:6d:97:01", 100, False, True)
OTHER = ("52:54:00:6d:97:02", 200, True, False)


@pytest.fixture(scope="module")
def watched(host: Host) -> Host:
    """Cards and pool are there, no guest has a VF, and the unit runs."""
    text = (FILES / "watch.toml").read_text()
    host.put("base.toml", text.partition("[domain.")[0])
    host.reconciler("apply base.toml --yes").expect(0)
    host.put("plug.xml", NIC.format(mac=PLUGGED[0], alias="ua-rec-plug"))
    host.put("data.xml", NIC.format(mac=OTHER[0], alias="ua-rec-data"))
    host.sh("virsh attach-device idle1 /root/files/data.xml --config")
    host.sh(f"mkdir -p /etc/reconciler; cat >{FILE}", input=text)
    host.sh("cat >/etc/systemd/system/reconciler-watch.service", input=UNIT.read_text())
    host.sh("systemctl daemon-reload; systemctl start reconciler-watch")
    wait_until(lambda: host.sh("ls /run/reconciler/guests", check=False) != "", "its first look", 60, 0.5)
    return host


def of_vf(host: Host, index: int) -> tuple[str, int, bool, bool]:
    """MAC, rate, spoofchk, trust."""
    vf = host.vfs("enp2s0")[index]
    return vf["mac"], vf["max_tx_rate"], vf["spoofchk"], vf["trust"]


def becomes(host: Host, index: int, wanted: tuple[str, int, bool, bool]) -> None:
    wait_until(lambda: of_vf(host, index) == wanted, f"VF {index} is {wanted}", 60, 0.3)


def plug(host: Host) -> None:
    host.sh("virsh attach-device web1 /root/files/plug.xml --live")


def unplug(host: Host) -> None:
    host.sh("virsh detach-device web1 /root/files/plug.xml --live")
    wait_until(lambda: PLUGGED[0] not in host.sh("virsh dumpxml web1"), "web1 gives it back", 60, 0.5)


def journal(host: Host) -> str:
    return host.sh("journalctl --no-pager --output=cat -u reconciler-watch")


def said(host: Host, text: str) -> Callable[[], bool]:
    return lambda: text in journal(host)


def test_limits_come_with_a_plugged_vf_and_go_with_it(watched: Host) -> None:
    plug(watched)
    becomes(watched, 3, PLUGGED)
    watched.sh("virsh start idle1")
    becomes(watched, 4, OTHER)
    unplug(watched)
    becomes(watched, 3, FREE)
    watched.sh("virsh destroy idle1")
    becomes(watched, 4, FREE)
    watched.sh("virsh start idle1")  # The pool now gives it the other VF.
    becomes(watched, 3, OTHER)
    watched.sh("virsh destroy idle1")
    becomes(watched, 3, FREE)
    assert "ext/3: max_tx_rate 0 -> 100 (guest web1)" in journal(watched)


@pytest.mark.long
def test_what_comes_late_does_not_hit_the_next_guest(watched: Host) -> None:
    """Stopped while one guest gives the VF back and the next one gets it."""
    plug(watched)
    becomes(watched, 3, PLUGGED)
    watched.sh("systemctl kill --signal=STOP reconciler-watch")
    unplug(watched)
    watched.sh("virsh start idle1")
    watched.sh("ip link set enp2s0 vf 3 max_tx_rate 200 spoofchk on trust off")  # As the hook of its start has it.
    assert of_vf(watched, 3) == OTHER
    seen = watched.sh(
        "systemctl kill --signal=CONT reconciler-watch; for i in $(seq 60); do "
        "ip -j -d link show dev enp2s0 | jq -c '.[0].vfinfo_list[3] | [.rate.max_tx, .spoofchk, .trust]'; "
        "sleep 0.1; done | uniq"
    )
    assert seen.split() == ["[200,true,false]"]
    watched.sh("virsh destroy idle1")
    becomes(watched, 3, FREE)


@pytest.mark.long
def test_it_outlives_libvirtd(watched: Host) -> None:
    pid = watched.sh("systemctl show -P MainPID reconciler-watch")
    watched.sh("systemctl restart libvirtd")
    plug(watched)
    becomes(watched, 3, PLUGGED)
    watched.sh(f"systemctl stop {LIBVIRT}")
    watched.sh("ip link set enp2s0 vf 6 max_tx_rate 77")
    wait_until(said(watched, "libvirt could not be asked."), "it says so", 60, 0.5)
    assert watched.vfs("enp2s0")[6]["max_tx_rate"] == 77, "nobody knows who has it"
    watched.sh(f"systemctl start {LIBVIRT}")
    wait_until(lambda: watched.vfs("enp2s0")[6]["max_tx_rate"] == 600, "VF 6 is corrected", 90, 0.5)
    unplug(watched)
    becomes(watched, 3, FREE)
    assert watched.sh("systemctl show -P MainPID reconciler-watch") == pid


def test_it_can_not_write_what_is_not_its_own(watched: Host) -> None:
    watched.sh("systemctl restart reconciler-watch")  # libvirt's sockets may have been made anew since it was started.
    pid = watched.sh("systemctl show -P MainPID reconciler-watch").strip()
    inside = f"nsenter --target {pid} --mount"
    places = [
        *("/etc/x", "/root/x", "/usr/local/bin/x", "/var/lib/reconciler/x", "/run/x", "/run/libvirt/x"),
        "/sys/class/net/enp2s0/device/sriov_numvfs",
    ]
    for place in places:
        refused = watched.sh(f"{inside} sh -c 'echo 7 >{place}' 2>&1", check=False)
        assert "Read-only file system" in refused or "Permission denied" in refused, f"{place}: {refused}"
    watched.sh(f"{inside} sh -c 'echo >/run/reconciler/x; rm /run/reconciler/x; test -w /run/reconciler.lock'")
    assert "failed to connect" in watched.sh(f"{inside} virsh -c qemu:///system list 2>&1", check=False)
    status = dict(line.split(":", 1) for line in watched.sh(f"cat /proc/{pid}/status").splitlines())
    net_admin, dac_read_search, sys_ptrace = 1 << 12, 1 << 2, 1 << 19
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == net_admin | dac_read_search | sys_ptrace
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert watched.sh("systemd-analyze verify /etc/systemd/system/reconciler-watch.service 2>&1") == ""
    exposure = watched.sh("systemd-analyze security --no-pager reconciler-watch | tail -1")
    assert float(exposure.split("reconciler-watch.service:")[1].split()[0]) < 3


@pytest.mark.long
def test_it_ends_when_it_is_told_to(watched: Host) -> None:
    """What happens meanwhile it finds out when it is started again."""
    plug(watched)
    becomes(watched, 3, PLUGGED)
    took = watched.sh("begun=$(date +%s%N); systemctl stop reconciler-watch; echo $(( $(date +%s%N) - begun ))")
    assert int(took) < 30_000_000_000, "a look that is under way comes to its end"
    assert watched.sh("systemctl show -P Result reconciler-watch").strip() == "success"
    unplug(watched)
    assert of_vf(watched, 3)[1] == PLUGGED[1], "nobody has reset it"
    watched.sh("systemctl start reconciler-watch")
    becomes(watched, 3, FREE)
    assert "Traceback" not in journal(watched)
