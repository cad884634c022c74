"""A new VF count under a guest that runs: the guest keeps its NIC, whatever goes wrong in the middle, and nobody else
notices.

One host goes through it in the order of this file, each test beginning with what the one before it left. Three guests
run on it: web1 has a VF of the PF that changes, idle1 one of the other PF, and bare1 none.
"""

from __future__ import annotations

import difflib
import re
import shlex
import threading

import pytest

from tests.lab.conftest import WORK, Host, Ran
from tests.lab.machinery.basics import wait_until

WEB1, LATE1 = "52:54:00:6d:96:01", "52:54:00:6d:96:09"
DATA = "ua-rec-data"

STATE = f"""
schema = 1

[pf.int]
match = {{ name = "enp1s0" }}
link = "up"
vfs = COUNT
vf_driver = "none"

[pf.int.vf.1]
vlan = 11
max_tx_rate = 200

[pf.ext]
match = {{ name = "enp2s0" }}
link = "up"
vfs = 2

[pf.ext.vf.0]
vlan = 100

[domain.web1.nic.data]
vf = "int/2"
mac = "{WEB1}"
vlan = 100

[domain.idle1.nic.data]
vf = "ext/1"
mac = "52:54:00:6d:96:02"
"""

BY_HAND = """
ip link set enp1s0 vf 0 mac 52:54:00:6d:96:10
ip link set enp1s0 vf 0 vlan 30 qos 3
ip link set enp1s0 vf 2 spoofchk off
ip link set enp1s0 vf 2 max_tx_rate 500
ip link set enp1s0 vf 3 spoofchk off
ip link set enp1s0 vf 3 trust on
ip link set enp1s0 vf 3 max_tx_rate 300
"""
"""What VFs have that no file declares: of VFs that nobody has, and of the one that web1 has."""

GUESTS = """
for guest in bare1 late1; do
    virsh dumpxml --inactive idle1 | sed "s/idle1/$guest/; /<uuid>/d" >$guest.xml
    virsh define $guest.xml
done
virsh start idle1 & virsh start bare1 & wait
systemctl restart libvirtd
"""
"""Guests that never leave their firmware, so they are quick to start, and never answer an unplug request. libvirtd is
restarted, for the first restart takes aliases out of their XML."""

LISTEN = """
tty=$(virsh ttyconsole web1)
setsid sleep infinity <>$tty >/dev/null 2>&1 &
sleep 1.5
printf '\\n' >$tty
ip link set enp2s0v0 up
"""
"""Starts a shell in web1: a guest takes what is typed only while somebody has its console open. And has the host listen
with a VF of its own, on web1's wire and VLAN."""

EVENTS = "setsid virsh event --all --loop --timestamp >>events.txt 2>&1 &"


def with_fault(host: Host, fault: str, command: str, patience: int = 60) -> Ran:
    """Runs the tool with something that happens in the middle: arguments for files/fault.py. A guest has ``patience``
    seconds to answer."""
    host.put("fault.py")
    prefix = f"env ANSWER_WITHIN={patience} PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps python3 fault.py"
    done = host.lab.run(f"cd {WORK} && {prefix} {fault} {command}; exit $?", 300, check=False)
    return Ran(f"{fault} {command}", done.returncode, done.stdout, done.stderr)


BY_ITSELF = re.compile(
    r'"(ifindex|operstate|qdisc|promiscuity|allmulti|link_index|txqlen)":[^,}]*,?|LOWER_UP|NO-CARRIER|'
    r"^(vfio\w*|irqbypass|iommufd)\n",
    re.MULTILINE,
)
"""What comes and goes without the tool: a port's link takes seconds, one that was up once has a queue discipline, an
index is never given twice, and libvirt has the kernel load VFIO for the first VF of a guest."""


def steady(host: Host) -> list[str]:
    """Everything that the tool may change, without what comes and goes by itself."""
    return BY_ITSELF.sub("", host.observed()).splitlines()


def differing(before: list[str], after: list[str]) -> list[str]:
    """The lines that are not as before."""
    return list(difflib.unified_diff(before, after, lineterm="", n=0))


class Site:
    """The host with its guests, and what each of them was like when all began."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.others = self._others()
        self.attributes = host.vfs("enp1s0")

    def apply(self, count: int, *options: str, fault: str = "", patience: int = 60, state: str = STATE) -> Ran:
        """Declares so many VFs on web1's PF and applies that. ``fault``: arguments for files/fault.py."""
        self.host.put("live.toml", state.replace("COUNT", str(count)))
        command = " ".join(["apply", "live.toml", "--yes", "--allow", "guest", *options])
        return with_fault(self.host, fault, command, patience) if fault else self.host.reconciler(command)

    def _others(self) -> str:
        """Everything about the guests and the PF that no plan here touches."""
        return self.host.sh(
            "for guest in idle1 bare1; do cat /run/libvirt/qemu/$guest.pid; virsh dumpxml $guest; "
            "virsh dumpxml --inactive $guest; done; ip -d link show enp2s0 | grep vf; "
            "cd /sys/class/net/enp2s0/device; cat sriov_numvfs; readlink virtfn*/driver"
        )

    def untouched(self) -> None:
        """Asserts that nobody else noticed anything."""
        assert self._others() == self.others
        heard = self.host.sh(f"cat {WORK}/events.txt").splitlines()
        assert [line for line in heard if "device-removed" in line and "web1" in line] != [], "nobody listened"
        assert [line for line in heard if re.search("idle1|bare1", line)] == []

    def as_before(self, count: int, late1: str = "") -> None:
        """Asserts that web1 has its NIC, in libvirt, on its VF and in its own kernel; that the PF has so many VFs; that
        every VF that was there at the beginning has what it had then (VF 3 the MAC of late1's NIC, if that is given);
        and that nobody else noticed anything."""
        nics = self.host.nics("web1")
        assert {alias: (nic.mac, nic.vlan, nic.address) for alias, nic in nics.items()} == {
            DATA: (WEB1, 100, self.host.vf_address("enp1s0", 2))
        }
        assert self.host.numvfs("enp1s0") == count
        found, expected = self.host.vfs("enp1s0"), {index: dict(vf) for index, vf in self.attributes.items()}
        expected[3]["mac"] = late1 or expected[3]["mac"]
        assert {index: found[index] for index in expected} == expected
        wait_until(lambda: self.in_web1() == WEB1, "web1's driver has the card", 30, 0.5)
        self.untouched()

    def in_web1(self) -> str:
        """The MAC of the card that web1 has, by what its own user land said last; "" if it has none."""
        said = re.findall(r"lab-guest: (card|gone) eth\d+ ?(\S*)", self.host.sh("cat /var/log/lab/web1.log"))
        return said[-1][1] if said else ""

    def web1_reaches_the_wire(self) -> None:
        """Asserts that web1 gets an answer over its VF, the wire and its VLAN, from a VF of the other card."""

        def answered() -> bool:
            self.host.sh(PING)
            return "bytes from" in self.host.sh("tail -n 6 /var/log/lab/web1.log")

        wait_until(answered, "web1 gets an answer over its VF", 60, 0.5)


PING = """
address=$(ip -6 -o addr show enp2s0v0 | grep -o 'fe80[^/]*')
echo "ping -c 1 -w 2 $address%eth0" >$(virsh ttyconsole web1)
sleep 2.5
"""


def prepare(host: Host) -> Site:
    """Four VFs on web1's PF, some with attributes that no file declares; three guests run."""
    host.put("live.toml", STATE.replace("COUNT", "4"))
    host.sh(f"cd {WORK}; {GUESTS}")
    host.reconciler("apply live.toml --yes").expect(0)
    host.sh(BY_HAND)
    host.sh(f"cd {WORK}; {LISTEN} {EVENTS}")
    return Site(host)


@pytest.fixture(scope="module")
def site(host: Host) -> Site:
    """The host that the tests of this file go through together."""
    return prepare(host)


def test_a_count_under_a_guest_is_refused_with_its_name_and_nothing_is_written(site: Site) -> None:
    site.web1_reaches_the_wire()
    before = site.host.observed()
    site.host.put("live.toml", STATE.replace("COUNT", "7"))
    site.host.reconciler("apply live.toml --yes").expect(5).says(
        "Refused. Nothing was changed", "pf.int", "web1", DATA, "--allow guest"
    )
    assert site.host.changes_since(before) == []


def test_with_allow_guest_its_nic_is_back_with_its_link(site: Site) -> None:
    site.apply(7).expect(0)
    site.as_before(7)
    site.web1_reaches_the_wire()


def test_a_new_count_that_fails_gives_the_old_one_back_with_the_nic(site: Site) -> None:
    ran = site.apply(4, fault="set_numvfs 2 before fail").expect(4)
    ran.says("Guest web1 was without its NIC", "put back")
    assert "has not answered" not in ran.text
    site.as_before(7)


@pytest.mark.long
def test_an_attribute_that_fails_is_rolled_back_and_all_is_as_before(site: Site) -> None:
    before = steady(site.host)
    ran = site.apply(4, "--on-error", "rollback", fault="set_vfs 1 after fail").expect(3)
    ran.says("and taken back: what was done on lab was undone")
    site.as_before(7)
    assert differing(before, steady(site.host)) == []


def test_an_attach_that_fails_is_tried_again(site: Site) -> None:
    site.apply(4, fault="attach_nic 1 before fail").expect(0).says("The test let it fail", "Done: 14 actions")
    site.as_before(4)


def test_killed_with_the_nic_off_the_next_run_says_so_and_brings_it_back(site: Site) -> None:
    ran = site.apply(7, fault="set_numvfs 1 after kill")
    assert ran.code == 137
    assert site.host.numvfs("enp1s0") == 0
    assert site.host.nics("web1") == {}
    site.apply(7).expect(0).says("was interrupted", f"Guest web1 is without its NIC {DATA} (MAC {WEB1})")
    site.as_before(7)


def test_a_guest_that_does_not_answer_keeps_its_nic_also_when_it_answers_late(site: Site) -> None:
    site.host.sh("virsh suspend web1")
    ran = site.apply(4, fault="detach_nic 1 after true", patience=5)
    ran.expect(4).says("web1", "has not answered")
    assert set(site.host.nics("web1")) == {DATA}
    assert site.host.numvfs("enp1s0") == 7
    site.host.sh("virsh resume web1")
    wait_until(lambda: site.host.nics("web1") == {}, "web1 gives its NIC back late", 30, 0.5)
    site.apply(4).expect(0).says(f"Guest web1 is without its NIC {DATA} (MAC {WEB1})")
    site.as_before(4)


@pytest.mark.long
def test_libvirtd_restarts_and_somebody_changes_a_vf_in_the_middle(site: Site) -> None:
    hands = "systemctl restart libvirtd; ip link set enp1s0 vf 1 vlan 12"
    site.apply(7, fault=f"attach_nic 1 before {shlex.quote(hands)}").expect(4).says("pf.int.vf.1")
    assert set(site.host.nics("web1")) == {DATA}
    site.host.sh(f"cd {WORK}; {EVENTS}")
    site.apply(7).expect(0)
    site.as_before(7)


BY_HAND_NIC = f"""
<interface type='hostdev' managed='yes'>
  <mac address='{LATE1}'/>
  <source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x6'/></source>
</interface>
"""
"""On VF 3 of enp1s0."""


@pytest.mark.long
def test_a_guest_that_starts_in_the_middle_keeps_its_vf_and_web1_gets_its_nic_back(site: Site) -> None:
    site.host.sh(f"cat >{WORK}/nic.xml && virsh attach-device late1 {WORK}/nic.xml --config", input=BY_HAND_NIC)
    ran = site.apply(4, fault="detach_nic 1 after 'virsh start late1'").expect(4)
    ran.says("VF 3 of 0000:01:00.0: guest late1", "Guest web1 was without its NIC", "put back", "2 of 14 actions done")
    (taken,) = site.host.nics("late1").values()
    assert taken.mac == LATE1
    site.as_before(7, LATE1)


WITH_LATE1 = f"""{STATE}
[domain.late1.nic.own]
vf = "int/3"
mac = "{LATE1}"
"""


@pytest.mark.long
def test_a_guest_that_is_shut_down_in_the_middle_stops_nothing_for_good(site: Site) -> None:
    ran = site.apply(4, fault="detach_nic 2 before 'virsh destroy late1'", state=WITH_LATE1).expect(4)
    ran.says("late1", "Guest web1 was without its NIC", "put back")
    site.as_before(7)
    site.apply(4, state=WITH_LATE1).expect(0)
    site.as_before(4)
    assert [nic.mac for nic in site.host.nics("late1", inactive=True).values()] == [LATE1]


PULLED = "touch pull; timeout 60 sh -c 'while [ -e /sys/class/net/enp1s0 ]; do sleep 0.1; done'"


@pytest.mark.long
def test_a_card_that_is_pulled_in_the_middle_is_said_to_be_gone(site: Site) -> None:
    def pull() -> None:
        wait_until(lambda: "pull" in site.host.sh(f"ls {WORK}").split(), "the run is in the middle", 200, 0.5)
        site.host.lab.monitor("device_del pf0")

    hand = threading.Thread(target=pull)
    hand.start()
    ran = site.apply(7, fault=f"set_numvfs 1 after {shlex.quote(PULLED)}").expect(4)
    hand.join()
    ran.says("guest web1 is WITHOUT its NIC ua-rec-data (MAC 52:54:00:6d:96:01): The PF is gone.")
    assert "enp1s0" not in site.host.sh("ls /sys/class/net").split()
    assert site.host.nics("web1") == {}
    assert DATA in site.host.nics("web1", inactive=True)
    site.untouched()
    site.apply(7).expect(1).says("pf.int", "enp1s0")


@pytest.mark.long
@pytest.mark.parametrize("step", ["set_vfs 1", "attach_nic 2"])
def test_an_interrupt_takes_back_whatever_was_done_of_a_long_plan(host: Host, step: str) -> None:
    host.lab.restore("ready")
    host.put("main.toml")
    before = steady(host)
    ran = with_fault(host, f"{step} after stop", "apply main.toml --yes").expect(3)
    ran.says("Interrupted")
    assert differing(before, steady(host)) == []
