"""`doctor` finds what is wrong with a real host, each thing when it is provoked, and nothing once it is mended."""

from typing import Any

import pytest

from tests.lab.conftest import Host
from tests.lab.machinery.basics import wait_until

LIBVIRT = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"

NIC = """
<interface type='network'><source network='forgetful'/><mac address='52:54:00:6d:95:0{n}'/>
<alias name='ua-{n}'/></interface>
"""
POOL = """
<network><name>forgetful</name><forward mode='hostdev' managed='yes'><pf dev='enp1s0'/></forward></network>
"""

CARD_ONLY = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 4
"""
TOO_MANY = CARD_ONLY.replace("vfs = 4", "vfs = 8")
GUEST_OVER_THE_LIMIT = (
    CARD_ONLY
    + """
[policy]
max_vfs_per_domain = 1
[domain.db1.nic.one]
vf = "int/1"
mac = "52:54:00:6d:95:11"
"""
)
FOREIGN = """
<interface type='hostdev' managed='yes'><mac address='52:54:00:6d:95:12'/><alias name='ua-foreign'/>
<source><address type='pci' domain='0' bus='1' slot='0x10' function='0'/></source></interface>
"""


def found(host: Host, arguments: str = "", code: int | None = None) -> dict[str, dict[str, Any]]:
    """The findings by their code, the worst of each. The exit code says whether there is a problem."""
    ran = host.reconciler(f"doctor {arguments} --json")
    assert ran.code in (0, 1), ran.text
    document = ran.json
    problems = [item for item in document["findings"] if item["severity"] == "problem"]
    assert document["verdict"] == ("problems" if problems else "ok")
    ran.expect((1 if problems else 0) if code is None else code)
    return {item["code"]: item for item in reversed(document["findings"])}


def test_a_sound_host_has_no_problem_and_its_cards_that_are_down_are_told(host: Host) -> None:
    findings = found(host, code=0)
    assert findings["pf-down"]["severity"] == "warning"
    text = host.reconciler("doctor").expect(0)
    text.says("lab: ready for SR-IOV", "✓ IOMMU: on, in passthrough mode", "enp1s0 (igb): 0 of at most 7 VFs")
    text.says("✓ libvirt: 11.", "enp2s0 is down", "ip link set enp2s0 up")


def test_a_pf_that_is_down_with_vfs_is_a_problem_until_it_is_up(host: Host) -> None:
    host.sh("echo 2 >/sys/class/net/enp1s0/device/sriov_numvfs")
    finding = found(host, code=1)["pf-down"]
    assert (finding["severity"], finding["subject"]) == ("problem", "enp1s0")
    host.sh("ip link set enp1s0 up")
    assert found(host, code=0)["pf-down"]["subject"] != "enp1s0"


@pytest.mark.long
def test_a_vf_driver_that_is_loaded_though_blacklisted(host: Host) -> None:
    host.sh("modprobe igbvf; echo 'blacklist igbvf' >/etc/modprobe.d/no-vfs.conf")
    finding = found(host, code=1)["vf-driver-loaded"]
    assert finding["severity"] == "problem"
    assert "/etc/modprobe.d/no-vfs.conf:1" in finding["seen"]
    host.sh("modprobe -r igbvf")
    assert "vf-driver-loaded" not in found(host, code=0)
    host.sh("rm /etc/modprobe.d/no-vfs.conf")


def test_files_of_other_owners(host: Host) -> None:
    host.sh("printf '#!/bin/sh\\necho 2 >/sys/class/net/enp1s0/device/sriov_numvfs\\n' >/etc/rc.local")
    host.sh("mkdir -p /etc/sysfs.d && echo 'bus/pci/devices/0000:02:00.0/sriov_numvfs = 4' >/etc/sysfs.d/vfs.conf")
    ran = host.reconciler("doctor").expect(1)
    ran.says("/etc/rc.local:2 configures VFs", "/etc/sysfs.d/vfs.conf:1 configures VFs", "It is about enp1s0")
    host.put("card.toml", CARD_ONLY)
    only = host.reconciler("doctor card.toml").expect(1)
    assert "rc.local" in only.text
    assert "sysfs.d" not in only.text, "that card is not the file's"
    host.sh("head -c 3000000 /dev/urandom >/etc/sysfs.d/huge.conf; rm /etc/rc.local; rm /etc/sysfs.d/vfs.conf")
    ran = host.reconciler("doctor").expect(0)
    ran.says("/etc/sysfs.d/huge.conf is large")
    host.sh("rm /etc/sysfs.d/huge.conf")


@pytest.mark.long
def test_limits_of_vfs(host: Host) -> None:
    host.put("many.toml", TOO_MANY)
    assert "7" in str(next(f for f in found(host, "many.toml", 1).values() if f["severity"] == "problem"))
    host.put("limit.toml", GUEST_OVER_THE_LIMIT)
    assert "too-many-vfs-in-guest" not in found(host, "limit.toml", 0)
    host.sh("cat >foreign.xml && virsh attach-device db1 foreign.xml --config", input=FOREIGN)
    finding = found(host, "limit.toml", 1)["too-many-vfs-in-guest"]
    assert (finding["severity"], finding["address"]) == ("problem", "domain.db1")
    host.sh("virsh detach-device db1 foreign.xml --config")


@pytest.mark.long
def test_libvirt_that_is_down_matters_only_to_a_file_with_guests(host: Host) -> None:
    host.put("card.toml", CARD_ONLY)
    host.put("limit.toml", GUEST_OVER_THE_LIMIT)
    host.sh(f"systemctl stop {LIBVIRT}")
    try:
        assert found(host, code=1)["libvirt-unreachable"]["severity"] == "problem"
        assert found(host, "limit.toml", 1)["libvirt-unreachable"]["severity"] == "problem"
        assert "libvirt-unreachable" not in found(host, "card.toml", 0)
    finally:
        host.sh("systemctl start libvirtd.socket libvirtd-ro.socket")
    assert "libvirt-unreachable" not in found(host, code=0)


@pytest.mark.long
def test_a_pool_that_forgot_its_ports_and_what_mends_it(host: Host) -> None:
    host.sh("cat >pool.xml", input=POOL)
    for number in (1, 2):
        host.sh(f"cat >nic{number}.xml", input=NIC.format(n=number))
    host.sh("virsh net-define pool.xml && virsh net-start forgetful")
    host.sh("virsh attach-device web1 nic1.xml --live --config && virsh attach-device db1 nic2.xml --config")
    assert "pool-forgot" not in found(host, code=0)
    host.sh("virsh net-destroy forgetful && virsh net-start forgetful")
    finding = found(host, code=1)["pool-forgot"]
    assert "web1" in finding["seen"]
    refused = host.lab.run("virsh start db1 2>&1", 60, check=False)
    assert "is in use by driver QEMU, domain web1" in refused.stdout
    host.sh("systemctl restart libvirtd")
    wait_until(lambda: "pool-forgot" not in found(host), "libvirt has the ports again", 60)
    host.sh("virsh start db1")
    assert host.net_info("forgetful")["Active"] == "yes"


@pytest.mark.long
def test_a_recorded_host_is_examined_elsewhere(host: Host) -> None:
    for guest in host.sh("virsh list --name").split():  # One that has just been started has its agent later.
        ping = f'virsh qemu-agent-command {guest} \'{{"execute":"guest-ping"}}\''
        if "guest_agent" in host.sh(f"virsh dumpxml {guest}"):
            host.sh(f"for i in $(seq 120); do {ping} && exit; sleep 1; done; exit 1")
    host.sh("reconciler snapshot -o /root/files/lab.json")
    here, there = found(host), found(host, "--host snapshot:lab.json")
    assert {code: item["seen"] for code, item in here.items()} == {code: item["seen"] for code, item in there.items()}


@pytest.fixture
def without_iommu(host: Host) -> Host:
    """The lab, booted with a command line that leaves the IOMMU off."""
    host.sh("sed -i s/intel_iommu=on/intel_iommu=off/ /etc/default/grub && update-grub")
    host.lab.reboot()
    assert "intel_iommu=off" in host.sh("cat /proc/cmdline")
    return host


@pytest.mark.long
def test_an_iommu_that_is_off_is_seen_by_its_effect(without_iommu: Host) -> None:
    assert without_iommu.sh("ls /sys/kernel/iommu_groups") == ""
    finding = found(without_iommu, code=1)["iommu-off"]
    assert finding["severity"] == "problem"
    assert "intel_iommu=on" in finding["todo"]
    without_iommu.put("card.toml", CARD_ONLY)
    assert "iommu-off" not in found(without_iommu, "card.toml"), "VFs for the host itself need none"
