"""The main job, from a clean host to guests with their NICs, and what comes after it: nothing to do, drift, adoption,
a reboot. One host goes through all of it in the order of this file."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import WORK, GuestNic, Host, Ran
from tests.lab.machinery.basics import wait_until

INT: dict[int, dict[str, Any]] = {
    0: {"mac": "52:54:00:6d:90:00", "vlan": 100, "max_tx_rate": 100, "spoofchk": True, "trust": False},
    1: {"vlan": 101, "qos": 3, "spoofchk": False, "trust": True},
    2: {"spoofchk": True, "trust": False},
    3: {
        "mac": "52:54:00:6d:90:03",
        "vlan": 103,
        "max_tx_rate": 300,
        "spoofchk": True,
        "trust": False,
    },
    4: {"max_tx_rate": 500, "spoofchk": True, "trust": False},
    5: {"max_tx_rate": 250, "spoofchk": True, "trust": False},
    6: {"max_tx_rate": 500, "spoofchk": True, "trust": False},
}
"""What main.toml declares of the VFs of enp1s0; VF 3 is the one that web1 has."""

FAST: dict[str, Any] = {"mac": "52:54:00:6d:90:13", "vlan": 200}
POOL = [f"0000:02:{slot}" for slot in ("10.6", "11.0", "11.2", "11.4")]


@dataclass(frozen=True)
class Applied:
    """What planning and applying main.toml on a clean host said, and the host around it."""

    before: str
    after_plan: str
    plan: Ran
    plan_json: Any
    elsewhere: Any
    apply: Ran


@pytest.fixture(scope="module")
def applied(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """The clean host with main.toml applied."""
    host.put("main.toml")
    before = host.observed()
    plan = host.reconciler("plan main.toml")
    plan_json = host.reconciler("plan main.toml --json").expect(0).json
    recorded = host.reconciler("snapshot").expect(0).stdout
    after_plan = host.observed()
    elsewhere = _plan_here(recorded, tmp_path_factory.mktemp("elsewhere"))
    return Applied(before, after_plan, plan, plan_json, elsewhere, host.reconciler("apply main.toml --yes"))


def _plan_here(recorded: str, folder: Path) -> Any:
    """The plan that this machine, which is not the host, makes from a snapshot."""
    (folder / "host.json").write_text(recorded)
    (folder / "main.toml").write_text((Path(__file__).parent / "files" / "main.toml").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "--host", "snapshot:host.json", "plan", "main.toml", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def carries(found: dict[int, dict[str, Any]], declared: dict[int, dict[str, Any]]) -> None:
    """Asserts that VFs have the declared attributes."""
    assert {n: {k: found[n][k] for k in values} for n, values in declared.items()} == declared


def test_the_plan_says_what_it_would_do_and_changes_nothing(applied: Applied) -> None:
    applied.plan.expect(0).says(
        "modules.blacklist",
        "igbvf",
        "pf.int",
        "pf.ext",
        "pool.sriov-ext",
        "domain.web1.nic.mgmt",
        "domain.db1.nic.fast",
        "52:54:00:6d:90:00",
    )
    assert applied.plan_json["verdict"] == "changes"
    addresses = {change["address"] for change in applied.plan_json["changes"]}
    assert {"modules.blacklist", "pf.int", "pf.ext", "pf.int.vf.0", "pf.int.vf.5", "pool.sriov-ext"} <= addresses
    assert {f"domain.db1.nic.{key}" for key in ("mgmt", "fast", "data")} <= addresses
    assert applied.after_plan == applied.before


def test_the_same_snapshot_gives_the_same_plan_on_another_machine(applied: Applied) -> None:
    here, there = dict(applied.elsewhere), dict(applied.plan_json)
    for document in (here, there):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.pop("created_at"))
    assert json.dumps(here) == json.dumps(there)


def test_apply_ends_well_and_says_so(applied: Applied) -> None:
    applied.apply.expect(0).says("Done:", "domain.web1.nic.mgmt")
    assert "Warning" not in applied.apply.text


def test_the_vf_driver_is_kept_away_now_and_at_the_next_boot(applied: Applied, host: Host) -> None:
    assert "blacklist igbvf" in host.sh("cat /etc/modprobe.d/reconciler.conf").splitlines()
    assert host.numvfs("enp1s0") == host.numvfs("enp2s0") == 7
    assert host.vf_drivers("enp1s0") == {n: "vfio-pci" if n == 3 else "" for n in range(7)}
    assert host.vf_drivers("enp2s0") == dict.fromkeys(range(7), "")
    assert "igbvf" not in host.modules()


def test_every_attribute_is_in_the_kernel(applied: Applied, host: Host) -> None:
    for netdev in ("enp1s0", "enp2s0"):
        link = host.link(netdev)
        assert "UP" in link["flags"]
        assert link["operstate"] == "UP"
    assert host.link("enp2s0")["mtu"] == 1600
    assert host.link("enp3s0")["operstate"] == "DOWN"
    carries(host.vfs("enp1s0"), INT)
    ext = host.vfs("enp2s0")
    assert [ext[n]["spoofchk"] for n in (0, 1)] == [False, False]
    assert [n for n, vf in ext.items() if vf["mac"] == FAST["mac"]] == [fast_vf(host)]
    carries(ext, {fast_vf(host): FAST})


def fast_vf(host: Host) -> int:
    """Index of the VF of enp2s0 that was picked for db1's NIC `fast`."""
    address = host.nics("db1", inactive=True)["ua-rec-fast"].address
    return next(n for n in range(7) if host.vf_address("enp2s0", n) == address)


def test_the_pool_is_active_now_and_at_boot_with_its_vfs(applied: Applied, host: Host) -> None:
    info = host.net_info("sriov-ext")
    assert (info["Active"], info["Persistent"], info["Autostart"]) == ("yes", "yes", "yes")
    assert host.net_addresses("sriov-ext") == host.net_addresses("sriov-ext", inactive=True) == POOL


def test_the_running_guest_has_its_nic_now_and_after_its_next_start(applied: Applied, host: Host) -> None:
    vf = host.vf_address("enp1s0", 3)
    expected = GuestNic("ua-rec-mgmt", "interface", "hostdev", "52:54:00:6d:90:03", 103, "", vf)
    assert host.nics("web1") == {"ua-rec-mgmt": expected}
    assert host.nics("web1", inactive=True) == {"ua-rec-mgmt": expected}

    def guest_sees_it() -> bool:
        return "52:54:00:6d:90:03 igbvf" in host.sh("cat /var/log/lab/web1.log")

    wait_until(guest_sees_it, "web1 has found its card and its driver took it", 60, 1)


def test_the_guest_that_is_off_has_nics_by_all_three_methods(applied: Applied, host: Host) -> None:
    nics = host.nics("db1", inactive=True)
    mgmt = host.vf_address("enp1s0", 2)
    assert nics["ua-rec-mgmt"] == GuestNic("ua-rec-mgmt", "interface", "hostdev", "52:54:00:6d:90:12", 0, "", mgmt)
    assert nics["ua-rec-data"] == GuestNic(
        "ua-rec-data", "interface", "network", "52:54:00:6d:90:14", 104, "sriov-ext", ""
    )
    assert (nics["ua-rec-fast"].element, nics["ua-rec-fast"].kind) == ("hostdev", "pci")
    assert fast_vf(host) in range(3), "a VF of the pool was given away"
    assert len(nics) == 3
    assert "db1" not in host.sh("virsh list --name").split()


def test_nothing_is_left_to_do_and_a_second_apply_writes_nothing(applied: Applied, host: Host) -> None:
    plan = host.reconciler("plan main.toml --json --detailed-exitcode").expect(0).json
    assert (plan["verdict"], plan["changes"], plan["actions"]) == ("in-sync", [], [])
    state = "cd /var/lib/reconciler && ls -lR --time-style=full-iso . && cat ledger.json"
    host.sh("modprobe netlink_diag")  # strace loads it, to tell one kind of netlink socket from another.
    before, files = host.observed(), host.sh(state)
    calls = (
        "open,openat,openat2,creat,connect,sendto,sendmsg,sendmmsg,unlink,unlinkat,rename,renameat,renameat2,mkdir,"
        "mkdirat,rmdir,truncate,ftruncate,chmod,fchmod,fchmodat,link,linkat,symlink,symlinkat,utimensat,execve"
    )
    trace = f"strace -f --seccomp-bpf -s 64 -e trace={calls} -o {WORK}/trace"
    host.reconciler("apply main.toml --yes", prefix=trace).expect(0).says("In sync")
    assert host.sh(state) == files
    assert host.changes_since(before) == []
    lines = host.sh(f"grep -v -e ENOENT -e 'resumed>' {WORK}/trace").splitlines()
    assert any("RTM_GETLINK" in line for line in lines), "the trace doesn't show what netlink is asked"
    assert any("libvirt-sock-ro" in line for line in lines), "the trace doesn't show how libvirt is reached"
    assert [line for line in lines if _writes(line)] == []


def _writes(line: str) -> bool:
    """Whether a line of the trace is a system call that may change something."""
    call = re.match(r"\d+ +(\w+)\(", line)
    if call is None:
        return False  # A signal, or the end of a process.
    match call[1]:
        case "open" | "openat" | "openat2":
            writing = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", line)
            return writing is not None and not re.search(r'"/(dev/(null|tty|pts/\d+)|proc/self/comm)"', line)
        case "connect":
            return "libvirt" in line and "-sock-ro" not in line
        case "sendto" | "sendmsg" | "sendmmsg":
            # Some types are shown as numbers: 0x12 is RTM_GETLINK, 0x16 RTM_GETADDR, 0x1a RTM_GETROUTE.
            asked = re.findall(r"nlmsg_type=(\w+)", line)
            return not all(re.fullmatch(r"RTM_GET\w+|0x1[26a]", what) for what in asked)
        case "execve":
            return re.search(r"/(python[\d.]*|reconciler|sh|git)\"", line) is None
        case _:
            return True


def test_the_inventory_shows_pf_vf_driver_and_guest(applied: Applied, host: Host) -> None:
    document = host.reconciler("inspect --json").expect(0).json
    pfs = {pf["netdev"]: pf for pf in document["pfs"]}
    assert set(pfs) == {"enp1s0", "enp2s0", "enp3s0"}
    assert (pfs["enp1s0"]["num_vfs"], pfs["enp1s0"]["total_vfs"], pfs["enp1s0"]["used_vfs"]) == (7, 7, 1)
    third = pfs["enp1s0"]["vfs"][3]
    assert third["driver"] == "vfio-pci"
    assert [(h["kind"], h["who"], h["nic"]) for h in third["holders"]] == [("guest", "web1", "ua-rec-mgmt")]
    assert third["attributes"]["mac"] == "52:54:00:6d:90:03"
    assert [c["domain"] for c in pfs["enp1s0"]["vfs"][2]["claims"]] == ["db1"]
    assert pfs["enp2s0"]["vfs"][3]["pools"] == ["sriov-ext"]


NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"


def test_without_root_the_host_is_shown_and_planned_as_far_as_the_kernel_allows(applied: Applied, host: Host) -> None:
    host.sh(f"chmod 755 /root {WORK}")
    host.reconciler("inspect", prefix=NOBODY).expect(0).says(
        "enp1s0", "vfio-pci", "web1", "ua-rec-mgmt", "52:54:00:6d:90:03", "sriov-ext"
    )
    plan = host.reconciler("plan main.toml --detailed-exitcode", prefix=NOBODY)
    plan.expect(0).says("sync")


def test_adopt_describes_the_host_so_that_nothing_is_left_to_do(applied: Applied, host: Host) -> None:
    host.reconciler("adopt -o adopted.toml").expect(0)
    host.reconciler("plan adopted.toml --detailed-exitcode").expect(0)
    written = host.sh(f"cat {WORK}/adopted.toml")
    for part in ("52:54:00:6d:90:03", "sriov-ext", "web1", "db1", "igbvf"):
        assert part in written
    host.reconciler("adopt -o adopted.toml").expect(1).says("adopted.toml", "never overwritten")
    assert host.sh(f"cat {WORK}/adopted.toml") == written


MOVED = {
    ("pf.int.vf.0", "spoofchk", True, False),
    ("pf.int.vf.0", "mac", "52:54:00:6d:90:00", "52:54:00:00:00:99"),
    ("pf.int.vf.4", "max_tx_rate", 500, 333),
    ("pool.sriov-ext", "active", True, False),
}


def test_drift_names_exactly_what_somebody_changed_and_apply_mends_exactly_that(applied: Applied, host: Host) -> None:
    host.sh(
        "ip link set enp1s0 vf 0 spoofchk off && ip link set enp1s0 vf 0 mac 52:54:00:00:00:99 && "
        "ip link set enp1s0 vf 4 max_tx_rate 333 && virsh net-destroy sriov-ext"
    )
    found = host.reconciler("drift main.toml --json").expect(2).json
    assert (found["format"], found["verdict"]) == ("reconciler-drift/1", "drift")
    labels = {label: [f for f in found["fields"] if f["label"] == label] for label in found["counts"]}
    assert {(f["address"], f["field"], f["declared"], f["observed"]) for f in labels["drift"]} == MOVED
    assert all(f["applied"] == f["declared"] for f in labels["drift"])
    assert {f["address"] for f in labels.pop("deferred")} == {"domain.db1.nic.data"}
    assert set(labels) == {"drift", "in-sync"}

    plan = host.reconciler("plan main.toml -o mend.plan --json").expect(0).json
    changed = {(c["address"], f["name"]) for c in plan["changes"] for f in c["fields"]}
    assert changed == {(address, field) for address, field, _, _ in MOVED}
    assert [a["op"] for a in plan["actions"] if a["address"] == "pool.sriov-ext"] == ["pool.start"]
    assert {a["address"] for a in plan["actions"]} == {address for address, _, _, _ in MOVED}
    host.reconciler("apply mend.plan").expect(0)
    carries(host.vfs("enp1s0"), INT)
    assert host.net_info("sriov-ext")["Active"] == "yes"
    host.reconciler("drift main.toml").expect(0).says("In sync")


@pytest.fixture(scope="module")
def rebooted(applied: Applied, host: Host) -> Ran:
    """The host after a reboot and one apply."""
    host.lab.reboot()
    assert host.numvfs("enp1s0") == 0
    return host.reconciler("apply main.toml --yes")


@pytest.mark.long
def test_after_a_reboot_one_apply_brings_everything_back(rebooted: Ran, host: Host) -> None:
    rebooted.expect(0)
    assert "igbvf" not in host.modules()
    assert host.vf_drivers("enp1s0") == host.vf_drivers("enp2s0") == dict.fromkeys(range(7), "")
    # web1 is off now: the VF gets the MAC and VLAN of its interface when it starts.
    carries(host.vfs("enp1s0"), {n: values for n, values in INT.items() if n != 3})
    carries(host.vfs("enp2s0"), {fast_vf(host): FAST, 1: {"spoofchk": False}})
    assert host.net_info("sriov-ext")["Active"] == "yes"
    assert host.net_addresses("sriov-ext") == POOL
    assert set(host.nics("web1", inactive=True)) == {"ua-rec-mgmt"}
    assert len(host.nics("db1", inactive=True)) == 3
    host.reconciler("plan main.toml --detailed-exitcode").expect(0)


@pytest.mark.long
def test_the_guest_that_was_off_starts_with_its_vfs(rebooted: Ran, host: Host) -> None:
    host.sh("virsh start db1")
    nics = host.nics("db1")
    assert set(nics) == {"ua-rec-mgmt", "ua-rec-fast", "ua-rec-data"}
    pool = nics["ua-rec-data"].address
    assert pool in POOL
    carries(host.vfs("enp1s0"), {2: {"mac": "52:54:00:6d:90:12", "vlan": 0}})
    data = next(n for n in range(7) if host.vf_address("enp2s0", n) == pool)
    carries(host.vfs("enp2s0"), {fast_vf(host): FAST, data: {"mac": "52:54:00:6d:90:14", "vlan": 104}})
    drivers = host.vf_drivers("enp2s0")
    assert drivers == {n: "vfio-pci" if n in (data, fast_vf(host)) else "" for n in range(7)}

    # What a NIC from a pool declares beyond MAC and VLAN can only now reach the VF that libvirt chose.
    host.reconciler("apply main.toml --yes").expect(0)
    assert host.vfs("enp2s0")[data]["max_tx_rate"] == 400
