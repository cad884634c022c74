"""What goes wrong around the tool: another run, a full disk, libvirt that is stopped, a card that is pulled, a crash.

One host goes through all of it in the order of this file.
"""

import json
import shlex

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

SMALL = """
schema = 1

[modules]
blacklist = ["igbvf"]

[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 7
vf_driver = "none"

[pf.int.vf."0-6"]
vlan = 30
"""
"""What needs no libvirt."""

WITH_GUEST = f"""{SMALL}
[domain.web1.nic.data]
vf = "int/3"
mac = "52:54:00:6d:94:03"
"""

OTHER_CARD = """
schema = 1
[pf.ext]
match = { name = "enp2s0" }
vfs = 2
[pf.last]
match = { name = "enp3s0" }
mtu = 1700
"""

POOL = "[red]a & 'b' <c> ..; $(reboot)"
"""A name that libvirt takes, and that markup, XML, a shell and a path would each read as something else."""

NASTY = f"""
schema = 1
[pf.int]
match = {{ name = "enp1s0" }}
[pool."{POOL}"]
vfs = ["int/0"]
autostart = true
"""

LIBVIRT = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"


def test_a_full_disk_stops_apply_before_anything_is_changed(host: Host) -> None:
    host.put("small.toml", SMALL)
    host.put("guest.toml", WITH_GUEST)
    host.sh("mkdir /mnt/full && mount -t tmpfs -o size=16k tmpfs /mnt/full")
    host.sh("head -c 16384 /dev/zero >/mnt/full/ballast", check=False)
    before = host.observed()
    ran = host.reconciler("apply small.toml --yes --state-dir /mnt/full/state").expect(1)
    ran.says("/mnt/full", "No space left on device", "--state-dir")
    assert host.changes_since(before) == []
    assert host.sh("cat /run/reconciler.lock") == ""


START = f"""
cd {WORK}
reconciler apply small.toml --yes >first.out 2>first.err &
pid=$!
timeout 120 sh -c 'until [ "$(cat /sys/class/net/enp1s0/device/sriov_numvfs)" = 7 ]; do sleep 0.02; done'
kill -STOP $pid
echo $pid
"""
"""Starts an apply, and stops it in the middle, when its VFs are there."""


def test_one_run_at_a_time_and_after_a_crash_the_next_one_says_so_and_converges(host: Host) -> None:
    pid = int(host.sh(START))
    locked = host.reconciler("apply small.toml --yes").expect(7)
    locked.says("Another run", "apply small.toml", f"pid {pid}", "since 20")
    host.sh(f"kill -KILL {pid}; timeout 60 sh -c 'while kill -0 {pid}; do sleep 0.05; done' 2>/dev/null")
    assert {vf["vlan"] for vf in host.vfs("enp1s0").values()} == {0}, "it should have been stopped before this"
    ran = host.reconciler("apply small.toml --yes").expect(0)
    ran.says("was interrupted")
    assert {vf["vlan"] for vf in host.vfs("enp1s0").values()} == {30}
    assert host.vf_drivers("enp1s0") == dict.fromkeys(range(7), "")
    again = host.reconciler("apply small.toml --yes").expect(0)
    assert "interrupted" not in again.text


def test_a_saved_plan_is_carried_out_unless_somebody_went_beyond_it(host: Host) -> None:
    host.reconciler("plan guest.toml -o saved.plan").expect(0)
    host.sh("ip link set enp1s0 vf 5 vlan 99")
    stale = host.reconciler("apply saved.plan").expect(6)
    stale.says("pf.int.vf.5", "no longer fits", "Nothing was changed")
    assert host.nics("web1") == {}
    assert host.vfs("enp1s0")[5]["vlan"] == 99
    host.sh("ip link set enp1s0 vf 5 vlan 30")
    host.reconciler("apply saved.plan").expect(0)
    assert set(host.nics("web1")) == set(host.nics("web1", inactive=True)) == {"ua-rec-data"}


def test_with_libvirt_stopped_what_needs_it_is_not_observed_and_the_rest_is_done(host: Host) -> None:
    host.sh(f"systemctl stop {LIBVIRT}")
    try:
        host.reconciler("drift guest.toml").expect(8).says("domain.web1.nic.data", "can't be reached", "libvirtd")
        host.sh("ip link set enp1s0 vf 5 vlan 97")
        for command in ("plan guest.toml", "apply guest.toml --yes"):
            host.reconciler(command).expect(8).says("domain.web1", "can't be reached")
        assert host.vfs("enp1s0")[5]["vlan"] == 97
        host.reconciler("apply small.toml --yes").expect(0)
        assert host.vfs("enp1s0")[5]["vlan"] == 30
    finally:
        host.sh("systemctl start libvirtd.socket libvirtd-ro.socket")
    assert set(host.nics("web1")) == {"ua-rec-data"}


def test_a_corrupt_ledger_costs_its_labels_and_is_set_aside(host: Host) -> None:
    host.sh('echo \'{"format": "reconciler-led\' >/var/lib/reconciler/ledger.json')
    host.sh("ip link set enp1s0 vf 5 vlan 98")
    found = host.reconciler("drift guest.toml --json").expect(2)
    found.says("ledger.json can't be used: it is corrupt")
    (moved,) = json.loads(found.stdout)["fields"]
    assert (moved["address"], moved["field"], moved["label"]) == ("pf.int.vf.5", "vlan", "unrecorded")
    host.reconciler("apply guest.toml --yes").expect(0).says("ledger.json can't be used: it is corrupt")
    assert host.vfs("enp1s0")[5]["vlan"] == 30
    assert json.loads(host.sh("cat /var/lib/reconciler/ledger.json"))["format"] == "reconciler-ledger/1"
    assert "reconciler-led" in host.sh("cat /var/lib/reconciler/ledger.json.unusable")


def test_a_name_full_of_special_characters_is_used_and_shown_as_it_is(host: Host) -> None:
    host.put("pool.toml", NASTY)
    host.reconciler("apply pool.toml --yes").expect(0).says(f'pool."{POOL}"')
    assert POOL in host.sh("virsh net-list --name").splitlines()
    assert host.net_addresses(shlex.quote(POOL)) == [host.vf_address("enp1s0", 0)]
    assert host.net_info(shlex.quote(POOL))["Autostart"] == "yes"


def test_a_card_that_vanishes_between_plan_and_apply_is_named(host: Host) -> None:
    host.put("other.toml", OTHER_CARD)
    host.reconciler("plan other.toml -o other.plan").expect(0)
    host.lab.monitor("device_del pf1")
    wait_until(lambda: "enp2s0" not in host.sh("ls /sys/class/net"), "the card is gone", 30)
    ran = host.reconciler("apply other.plan").expect(6)
    ran.says("pf.ext", "enp2s0", "Nothing was changed")
    ran = host.reconciler("apply other.toml --yes").expect(1)
    ran.says("pf.ext", "enp2s0", "enp1s0", "enp3s0")
    assert host.link("enp3s0")["mtu"] == 1500
    host.reconciler("drift other.toml").expect(2)
