"""The rules of the file: each once broken, with its place, and once kept."""

from __future__ import annotations

import pytest

from reconciler.state import draft
from tests.unit.state.support import errors, file, found, notes

MAC = "52:54:00:00:00:01"

NAMES = [
    (file("[pf.'a b']\nmatch.name = 'x'"), ["6:5 pf.\"a b\" invalid-name"]),
    (file("[pf.-a]\nmatch.name = 'x'"), ["6:5 pf.-a invalid-name"]),
    (file(f"[pf.{'a' * 64}]\nmatch.name = 'x'"), [f"6:5 pf.{'a' * 64} invalid-name"]),
    (file(f"[pf.{'a' * 63}]\nmatch.name = 'x'"), []),
    (file("[host]\nname = '-a'"), ["7:1 host invalid-name"]),
    (file("[host]\nname = ''"), ["7:1 host invalid-name"]),
    (file("[host]\nname = 'r620-01.example.org'"), []),
    (file("[modules]\nblacklist = ['a', 'b c', '', '-x', 'a\"']"),
     [f"7:{column} modules.blacklist invalid-name" for column in (19, 26, 30, 36)]),
    (file("[kernel]\ncmdline = ['intel_iommu=on', 'iommu=pt', 'pci=resource_alignment=20@0000:01:00.0']"), []),
    (file("[kernel]\ncmdline = ['console=tty0', 'console=ttyS0,115200n8', 'vfio-pci.ids=8086:10fb']"), []),
    (file("[kernel]\ncmdline = []"), []),
    (file("""[kernel]\ncmdline = ["a b", "", 'a"b', "$(id)", "`id`", 'a\\b', "a\\nb", "-x", "a;b", "ä"]"""),
     [f"7:{column} kernel.cmdline invalid-argument" for column in (12, 19, 23, 30, 39, 47, 54, 62, 68, 75)]),
    (file("[kernel]\ncmdline = ['root=/dev/sda1', 'ro', 'init=/bin/sh', 'rd.break', 'systemd.unit=rescue', '1']"),
     [f"7:{column} kernel.cmdline invalid-argument" for column in (12, 30, 36, 52, 64, 87)]),
    (file("[kernel]\ncmdline = ['quiet', 'iommu=pt', 'quiet', 'iommu=nopt']"),
     ["7:33 kernel.cmdline repeated-argument", "7:42 kernel.cmdline repeated-argument"]),
    (file("[kernel]\ncmdline = ['mitigations=off', 'a-b=1', 'a_b=2', 'mitigations=auto']"),
     ["7:40 kernel.cmdline repeated-argument", "7:49 kernel.cmdline repeated-argument"]),
    (file("[kernel]\ncmdline = 'quiet'\nargs = []"), ["7:1 kernel.cmdline wrong-type", "8:1 kernel.args unknown-key"]),
    (file("[modules]\nblacklist = ['ixgbevf', 'pci-stub']"), []),
    (file("[modules]\nblacklist = []"), []),
    (file("[modules]\nload = ['vfio-pci', 'a b']"), ["7:21 modules.load invalid-name"]),
    (file("[modules]\nload = []"), []),
    (file("[modules]\nblacklist = ['a-b']\nload = ['c', 'a_b']"), ["8:14 modules.load loaded-and-blacklisted"]),
    (file("[services]\n'a b' = 'running'"), ['7:1 services."a b" invalid-name']),
    (file("[services]\n'getty@' = 'stopped'"), ['7:1 services."getty@" invalid-name']),
    (file("[services]\n'@tty1' = 'stopped'"), ['7:1 services."@tty1" invalid-name']),
    (file("[services]\n'a.socket' = 'stopped'"), ['7:1 services."a.socket" invalid-name']),
    (file("[services]\na = 'running'\n'a.service' = 'stopped'"), ['8:1 services."a.service" repeated-service']),
    (file("[services]\n'getty@tty1' = 'stopped'\n'b.service' = 'running'\n'-c' = 'running'"), []),
    (file(f"[services]\n{'a' * 247} = 'running'"), []),
    (file(f"[services]\n{'a' * 248} = 'running'"), [f"7:1 services.{'a' * 248} invalid-name"]),
    (file("[hugepages]\n2M = 1\n1G = { node0 = 0, node12 = 3 }\n64K = 4"), []),
    (file("[hugepages]\n3M = 1\n4K = 1"), ["7:1 hugepages.3M invalid-page-size", "8:1 hugepages.4K invalid-page-size"]),
    (file("[hugepages]\n1G = 1\n1024M = 2"), ["8:1 hugepages.1024M repeated-page-size"]),
    (file("[domain.'a/b']"), ['6:9 domain."a/b" invalid-name']),
    (file("[domain.' ']"), ['6:9 domain." " invalid-name']),
    (file("[domain.'a ']"), ['6:9 domain."a " invalid-name']),
    (file("[domain.'']"), ['6:9 domain."" invalid-name']),
    (file('[domain."a\\u007f"]'), ['6:9 domain."a\x7f" invalid-name']),
    (file(f"[domain.'{'ä' * 128}']"), [f'6:9 domain."{"ä" * 128}" invalid-name']),
    (file(f"[domain.'{'ä' * 127}']"), []),
    (file("[domain.'[bold]a.b \"q\" ü']"), []),
    (file("[pool.'a/b']\npf = 'int'"), ['6:7 pool."a/b" invalid-name']),
    (file("[pool.'[bold] x.y']\npf = 'int'"), []),
    (file("[domain.d.nic.'']\nvf = 'int/3'"), ['6:15 domain.d.nic."" invalid-name']),
    (file('[domain.d.nic."a\\n"]\nvf = "int/3"'), ['6:15 domain.d.nic."a\\n" invalid-name']),
    (file(f"[domain.d.nic.{'a' * 65}]\nvf = 'int/3'"), [f"6:15 domain.d.nic.{'a' * 65} invalid-name"]),
    (file("[domain.d.nic.'the \"fast\" /one/ ü']\nvf = 'int/3'"), []),
]  # fmt: skip


def other(match: str) -> str:
    """A second PF on line 6, its match on line 7."""
    return file(f"[pf.x]\nmatch = {match}")


MATCH = [
    (file("[pf.x]\nvfs = 3"), ["6:5 pf.x missing-match"]),
    (other("{}"), ["7:1 pf.x missing-match"]),
    (other("{ nmae = 'x' }"), ["7:11 pf.x unknown-key"]),
    (other("{ name = '' }"), ["7:11 pf.x invalid-name"]),
    (other("{ name = 'a b' }"), ["7:11 pf.x invalid-name"]),
    (other("{ name = 'a/b' }"), ["7:11 pf.x invalid-name"]),
    (other(f"{{ name = '{'a' * 128}' }}"), ["7:11 pf.x invalid-name"]),
    (other(f"{{ name = '{'a' * 127}' }}"), []),
    (other("{ address = '0000:3b:00.0' }"), []),
    (other("{ address = '3B:00.1' }"), []),
    (other("{ address = '10000:3b:1f.7' }"), []),
    (other("{ address = 'netdevsim1' }"), []),
    (other("{ address = '3b:00.8' }"), ["7:11 pf.x invalid-id"]),
    (other("{ address = '3b:20.0' }"), ["7:11 pf.x invalid-id"]),
    (other("{ address = '' }"), ["7:11 pf.x invalid-id"]),
    (other("{ mac = '52:54:00:00:00:01' }"), []),
    (other("{ mac = 'none' }"), ["7:11 pf.x invalid-mac"]),
    (other("{ mac = '00:00:00:00:00:00' }"), ["7:11 pf.x zero-mac"]),
    (other("{ vendor = '8086', device = '0x10FB' }"), []),
    (other("{ vendor = '8086' }"), []),
    (other("{ device = '10fb' }"), ["7:11 pf.x incomplete-match"]),
    (other("{ vendor = '80860', device = 'x' }"), ["7:11 pf.x invalid-id", "7:29 pf.x invalid-id"]),
    (other("{ name = 'p1p1' }"), ["7:1 pf.x repeated-match"]),
    (other("{ name = 'p1p1', vendor = '8086' }"), []),
    (file("[pf.x]\nmatch.address = '3b:00.0'\n[pf.y]\nmatch.address = '0000:3B:00.0'"),
     ["9:1 pf.y repeated-match"]),
]  # fmt: skip


def mac(text: str, method: str = "hostdev") -> str:
    """A NIC with this MAC on line 9."""
    return file(f"[domain.d.nic.x]\nvf = 'int/3'\nmethod = '{method}'\nmac = '{text}'")


MACS = [
    (mac(MAC), []),
    (mac("AA:bB:cc:DD:ee:ff"), []),
    (mac("none"), []),
    (mac("none", "interface"), ["9:1 domain.d.nic.x mac-needs-hostdev"]),
    (mac("None"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac(""), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("52-54-00-00-00-01"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("5254.0000.0001"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("52:54:00:00:00"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("52:54:00:00:00:0g"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("52:54:00:00:00:01:02"), ["9:1 domain.d.nic.x invalid-mac"]),
    (mac("00:00:00:00:00:00"), ["9:1 domain.d.nic.x zero-mac"]),
    (mac("01:00:5e:00:00:01"), ["9:1 domain.d.nic.x multicast-mac"]),
    (mac("ff:ff:ff:ff:ff:ff"), ["9:1 domain.d.nic.x multicast-mac"]),
    (file("vf_defaults.mac = 'none'"), ["6:13 pf.int.vf_defaults shared-mac"]),
    (file(f"[pf.int.vf.'4-7']\nmac = '{MAC}'"), ["7:1 pf.int.vf.4 shared-mac"]),
    (file("[pf.int.vf.'4-7']\nmac = 'none'"), ["7:1 pf.int.vf.4 shared-mac"]),
    (file(f"[pf.int.vf.'4-4']\nmac = '{MAC}'"), []),
    (file("[pf.int.vf]\n1.mac = 'none'\n2.mac = 'none'"), []),
    (file(f"[pf.int.vf]\n1.mac = '{MAC}'\n2.mac = '{MAC}'"), ["8:3 pf.int.vf.2 repeated-mac"]),
    (file("[pf.int.vf]\n2.mac = '52:54:00:00:00:0a'\n1.mac = '52:54:00:00:00:0A'"),
     ["8:3 pf.int.vf.1 repeated-mac"]),
    (file(f"[pf.x]\nmatch.mac = '{MAC}'\nvf.1.mac = '{MAC}'"), ["8:6 pf.x.vf.1 repeated-mac"]),
    (file(f"[domain.d.nic]\nx.vf = 'int/1'\nx.mac = '{MAC}'\ny.pf = 'int'\ny.mac = '{MAC}'"),
     ["10:3 domain.d.nic.y repeated-mac"]),
    (file(f"vf.1.mac = '{MAC}'\n[domain.d.nic.x]\nvf = 'int/1'\nmac = '{MAC.upper()}'"), []),
    (file(f"vf.1.mac = '{MAC}'\n[domain.d.nic.x]\nvf = 'int/2'\nmac = '{MAC}'"),
     ["9:1 domain.d.nic.x repeated-mac"]),
    (file(f"[domain.d.nic]\nx.mac = '{MAC}'\nx.state = 'absent'\ny.pf = 'int'\ny.mac = '{MAC}'"), []),
    (file("vf.3.mac = 'none'\n[domain.d.nic.x]\nvf = 'int/3'"), ["6:6 pf.int.vf.3 mac-needs-hostdev"]),
    (file("vf.3.mac = 'none'\n[domain.d.nic.x]\nvf = 'int/3'\nmethod = 'hostdev'"), []),
    (file("[pool.p]\npf = 'int'\n[domain.d.nic.x]\npool = 'p'\nmac = 'none'"),
     ["10:1 domain.d.nic.x mac-needs-hostdev"]),
]  # fmt: skip

INDEXES = [
    (file("vf.7.vlan = 1"), []),
    (file("vf.8.vlan = 1"), ["6:4 pf.int.vf.8 index-beyond-vfs"]),
    (file("vf.'7-9'.vlan = 1"), ["6:4 pf.int.vf.7 index-beyond-vfs"]),
    (file("[pf.x]\nmatch.name = 'x'\nvf.65535.vlan = 1"), []),
    (file("[pf.x]\nmatch.name = 'x'\nvf.65536.vlan = 1"), ["8:4 pf.x.vf.65536 invalid-index"]),
    (file("[pf.x]\nmatch.name = 'x'\nvfs = 0\nvf.0.vlan = 1"), ["9:4 pf.x.vf.0 index-beyond-vfs"]),
    (file("vf.'1-3'.vlan = 1\nvf.'3-5'.trust = true"), ["7:4 pf.int.vf.3 overlapping-ranges"]),
    (file("vf.'1-3'.vlan = 1\nvf.'2,5'.vlan = 1"), ["7:4 pf.int.vf.2 overlapping-ranges"]),
    (file("vf.'1-3'.vlan = 1\nvf.3.vlan = 2\nvf.'4-5'.vlan = 1"), []),
    (file("vf.'3-1'.vlan = 1"), ["6:4 pf.int.vf.3-1 invalid-index"]),
    (file("vf.'1,1'.vlan = 1"), ["6:4 pf.int.vf.1 invalid-index"]),
    (file("vf.03.vlan = 1"), ["6:4 pf.int.vf.03 invalid-index"]),
    (file("[pool.p]\nvfs = ['int/6-8']"), ["7:8 pool.p index-beyond-vfs"]),
    (file("[pool.p]\nvfs = ['int/0', 'int/7']"), []),
    (file("[domain.d.nic.x]\nvf = 'int/8'"), ["7:1 domain.d.nic.x index-beyond-vfs"]),
    (file("[domain.d.nic.x]\nvf = 'int/8'\nstate = 'absent'"), []),
]

REFERENCES = [
    (file("[pool.p]\npf = 'in'"), ["7:1 pool.p undeclared"]),
    (file("[pool.p]\nvfs = ['ext/1', 'int/2']"), ["7:8 pool.p undeclared"]),
    (file("[pool.p]\nvfs = ['int', 'int/3-1', 'int/x']"),
     [f"7:{column} pool.p invalid-reference" for column in (8, 15, 26)]),
    (file("[domain.d.nic.x]\npf = 'Int'"), ["7:1 domain.d.nic.x undeclared"]),
    (file("[domain.d.nic.x]\npool = 'int'"), ["7:1 domain.d.nic.x undeclared"]),
    (file("[domain.d.nic.x]\nvf = 'ext/3'"), ["7:1 domain.d.nic.x undeclared"]),
    (file("[domain.d.nic.x]\nvf = 'int'"), ["7:1 domain.d.nic.x invalid-reference"]),
    (file("[domain.d.nic.x]\nvf = 'int/1-2'"), ["7:1 domain.d.nic.x invalid-reference"]),
    (file("[domain.d.nic.x]\nvf = 'int/1-1'"), ["7:1 domain.d.nic.x invalid-reference"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'"), []),
    (file("[pf.x]\nvfs = 3\n[domain.d.nic.x]\npf = 'x'"), ["6:5 pf.x missing-match"]),
]  # fmt: skip

SOURCES = [
    (file("[pf.ext]\nmatch.name = 'b'\n[domain.d.nic.x]\npf = ['int', 'ext']\nspread = true"), []),
    (file("[domain.d.nic.x]\npf = []"), ["7:1 domain.d.nic.x nic-source"]),
    (file("[domain.d.nic.x]\npf = ['int', 'no']"), ["7:1 domain.d.nic.x undeclared"]),
    (file("[domain.d.nic.x]\npf = 'int'\nspread = true"), ["8:1 domain.d.nic.x spread-without-list"]),
    (file("[domain.d.nic.x]\npf = ['int', 'int']\nspread = true"), ["8:1 domain.d.nic.x spread-without-list"]),
    (file("[domain.d.nic.x]\nvf = 'int/1'\nspread = true"), ["8:1 domain.d.nic.x spread-without-list"]),
    (file("[domain.d.nic.x]\npf = ['int', 3]"), ["7:14 domain.d.nic.x wrong-type"]),
    (file("[domain.d.nic.x]\npf = 3"), ["7:1 domain.d.nic.x wrong-type"]),
    (file("[pool.p]"), ["6:7 pool.p pool-source"]),
    (file("[pool.p]\npf = 'int'\nvfs = ['int/1']"), ["6:7 pool.p pool-source"]),
    (file("[pool.p]\nvfs = []"), ["7:1 pool.p empty-pool"]),
    (file("[pf.x]\nmatch.name = 'x'\nvfs = 0\n[pool.p]\npf = 'x'"), ["10:1 pool.p empty-pool"]),
    (file("[pool.p]\nstate = 'absent'"), []),
    (file("[pool.p]\nstate = 'absent'\nvfs = ['int/60']\nautostart = false"), []),
    (file("[pool.p]\nstate = 'present'\npf = 'int'"), []),
    (file("[domain.d.nic.x]"), ["6:15 domain.d.nic.x nic-source"]),
    (file("[domain.d.nic.x]\npf = 'int'\nvf = 'int/3'"), ["6:15 domain.d.nic.x nic-source"]),
    (file("[domain.d.nic.x]\nstate = 'absent'"), []),
    (file("[domain.d.nic.x]\nstate = 'absent'\nvf = 'int/3'\nmac = 'none'"), []),
    (file("[domain.d]\noptional = true"), []),
    (file("[pool.p]\npf = 'int'\n[domain.d.nic.x]\npool = 'p'\nmethod = 'interface'"),
     ["10:1 domain.d.nic.x method-with-pool"]),
    (file("[pool.p]\nstate = 'absent'\n[domain.d.nic.x]\npool = 'p'"),
     ["9:1 domain.d.nic.x absent-pool"]),
    (file("[pool.p]\nstate = 'absent'\n[domain.d.nic.x]\npool = 'p'\nstate = 'absent'"), []),
    (file("[policy]\nmax_vfs_per_domain = 1\n[domain.d.nic]\nx.pf = 'int'\ny.pf = 'int'"),
     ["8:9 domain.d too-many-nics"]),
    (file("[policy]\nmax_vfs_per_domain = 1\n[domain.d.nic]\nx.pf = 'int'\ny.state = 'absent'"), []),
    (file("[domain.d.nic]\n" + "".join(f"n{n}.pf = 'int'\n" for n in range(33))),
     ["6:9 domain.d too-many-nics"]),
]  # fmt: skip

USE = [
    (file("[pool.p]\nvfs = ['int/1-3']\n[pool.q]\nvfs = ['int/0', 'int/2-5']"),
     ["9:17 pool.q vf-used-twice"]),
    (file("[pool.p]\nvfs = ['int/1-3']\n[pool.q]\npf = 'int'"), ["9:1 pool.q vf-used-twice"]),
    (file("[pool.p]\npf = 'int'\n[pool.q]\npf = 'int'"), ["9:1 pool.q vf-used-twice"]),
    (file("[pool.p]\npf = 'int'\n[domain.d.nic.x]\nvf = 'int/3'"), ["9:1 domain.d.nic.x vf-used-twice"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\n[pool.p]\npf = 'int'"), ["9:1 pool.p vf-used-twice"]),
    (file("[pool.p]\nvfs = ['int/3']\n[domain.d.nic.x]\nvf = 'int/3'"), ["9:1 domain.d.nic.x vf-used-twice"]),
    (file("[domain.d.nic]\nx.vf = 'int/3'\ny.vf = 'int/3'"), ["8:3 domain.d.nic.y vf-used-twice"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\n[domain.e.nic.x]\nvf = 'int/3'"),
     ["9:1 domain.e.nic.x vf-used-twice"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\n[domain.e.nic.x]\nvf = 'int/3'\nstate = 'absent'"), []),
    (file("[pool.p]\npf = 'int'\nstate = 'absent'\n[pool.q]\nvfs = ['int/3']"), []),
    (file("[pool.p]\nvfs = ['int/4-7']\n[domain.d.nic]\nx.vf = 'int/3'\ny.pf = 'int'\nz.pool = 'p'"), []),
]  # fmt: skip


def nic(attributes: str, *, pf: str = "mtu = 1500", source: str = "vf = 'int/3'") -> str:
    """One line (6) in the PF, the NIC's source on line 8, its attributes from line 9."""
    return file(f"{pf}\n[domain.d.nic.x]\n{source}\n{attributes}")


AGREEMENT = [
    (nic("vlan = 5", pf="vf.3.vlan = 5"), []),
    (nic("vlan = 5", pf="vf.3.vlan = 6"), ["9:1 domain.d.nic.x vf-disagreement"]),
    (nic("vlan = 5", pf="vf.'2-4'.vlan = 6"), ["9:1 domain.d.nic.x vf-disagreement"]),
    (nic("vlan = 5", pf="vf.2.vlan = 6"), []),
    (nic("vlan = 5", pf="vf_defaults.vlan = 6"), []),
    (nic("trust = false", pf="vf.3.trust = true"), ["9:1 domain.d.nic.x vf-disagreement"]),
    (nic("mac = '52:54:00:00:00:0A'", pf="vf.3.mac = '52:54:00:00:00:0a'"), []),
    (nic("mac = '52:54:00:00:00:0b'", pf="vf.3.mac = 'none'"), ["9:1 domain.d.nic.x vf-disagreement"]),
    (nic("vlan = 5\nstate = 'absent'", pf="vf.3.vlan = 6"), []),
    (nic("vlan = 5\ntrust = true", pf="vf.3 = { vlan = 6, trust = false }"),
     ["9:1 domain.d.nic.x vf-disagreement", "10:1 domain.d.nic.x vf-disagreement"]),
]  # fmt: skip

HOSTDEV = [
    (nic("qos = 3"), ["9:1 domain.d.nic.x needs-hostdev"]),
    (nic("qos = 0\nvlan_proto = '802.1Q'"), []),
    (nic("vlan_proto = '802.1ad'"), ["9:1 domain.d.nic.x needs-hostdev"]),
    (nic("qos = 3\nmethod = 'hostdev'"), []),
    (nic("qos = 3", source="pf = 'int'"), ["9:1 domain.d.nic.x needs-hostdev"]),
    (nic("", pf="vf.3.qos = 3"), ["6:6 pf.int.vf.3 needs-hostdev"]),
    (nic("", pf="vf.'2-5'.qos = 3"), ["6:10 pf.int.vf.2 needs-hostdev"]),
    (nic("", pf="vf.4.qos = 3"), []),
    (nic("", pf="vf_defaults.qos = 3"), ["6:13 pf.int.vf_defaults needs-hostdev"]),
    (nic("", pf="vf_defaults.vlan_proto = '802.1ad'", source="pf = 'int'"),
     ["6:13 pf.int.vf_defaults needs-hostdev"]),
    (nic("qos = 0", pf="vf_defaults.qos = 3"), []),
    (nic("", pf="vf_defaults.qos = 3\nvf.3.qos = 0"), []),
    (nic("method = 'hostdev'", pf="vf_defaults = { qos = 3, vlan_proto = '802.1ad' }"), []),
    (nic("state = 'absent'", pf="vf_defaults.qos = 3"), []),
    (file("vf.3.qos = 1\n[pool.p]\nvfs = ['int/2-4']"), ["6:6 pf.int.vf.3 needs-hostdev"]),
    (file("vf.3.qos = 1\n[pool.p]\npf = 'int'"), ["6:6 pf.int.vf.3 needs-hostdev"]),
    (file("vf.3.qos = 1\n[pool.p]\nvfs = ['int/4-7']"), []),
    (file("vf.3.qos = 1\n[pool.p]\npf = 'int'\nstate = 'absent'"), []),
    (file("vf_defaults.qos = 1\n[pool.p]\nvfs = ['int/4-7']"), ["6:13 pf.int.vf_defaults needs-hostdev"]),
    (file("[pf.x]\nmatch.name = 'x'\nvf_defaults.qos = 1\nvf.1.vlan_proto = '802.1ad'\n[pool.p]\npf = 'x'"),
     ["8:13 pf.x.vf_defaults needs-hostdev", "9:6 pf.x.vf.1 needs-hostdev"]),
    (file("[pool.p]\npf = 'int'\n[domain.d.nic.x]\npool = 'p'\nqos = 1"),
     ["10:1 domain.d.nic.x needs-hostdev"]),
]  # fmt: skip

RATES = [
    (file("vf.3 = { min_tx_rate = 5, max_tx_rate = 5 }"), []),
    (file("vf.3 = { min_tx_rate = 5, max_tx_rate = 0 }"), []),
    (file("vf.3 = { min_tx_rate = 5 }"), []),
    (file("vf.3 = { min_tx_rate = 5, max_tx_rate = 4 }"), ["6:10 pf.int.vf.3 rate-order"]),
    (file("vf_defaults = { min_tx_rate = 5, max_tx_rate = 4 }"), ["6:17 pf.int.vf_defaults rate-order"]),
    (file("vf_defaults.min_tx_rate = 5\nvf.'2-4'.max_tx_rate = 4"), ["7:10 pf.int.vf.2 rate-order"]),
    (file("vf_defaults.min_tx_rate = 5\nvf.'2-4'.max_tx_rate = 4\nvf.'2-4'.min_tx_rate = 0"), []),
    (file("vf.'2-4'.min_tx_rate = 5\nvf.3.max_tx_rate = 4"), ["6:10 pf.int.vf.2 rate-order"]),
    (nic("max_tx_rate = 4", pf="vf_defaults.min_tx_rate = 5"), ["9:1 domain.d.nic.x rate-order"]),
    (nic("max_tx_rate = 4", pf="vf.3.min_tx_rate = 5"), ["9:1 domain.d.nic.x rate-order"]),
    (nic("min_tx_rate = 5", pf="vf.3.max_tx_rate = 4"), ["9:1 domain.d.nic.x rate-order"]),
    (nic("max_tx_rate = 4", pf="vf_defaults.min_tx_rate = 5", source="pf = 'int'"),
     ["9:1 domain.d.nic.x rate-order"]),
    (nic("max_tx_rate = 4\nmin_tx_rate = 0", pf="vf_defaults.min_tx_rate = 5"), []),
    (file("vf_defaults.min_tx_rate = 5\n[pool.p]\npf = 'int'\n[domain.d.nic.x]\npool = 'p'\nmax_tx_rate = 4"),
     ["11:1 domain.d.nic.x rate-order"]),
]  # fmt: skip

TABLES = [*NAMES, *MATCH, *MACS, *INDEXES, *REFERENCES, *SOURCES, *USE, *AGREEMENT, *HOSTDEV, *RATES]


@pytest.mark.parametrize(("text", "expected"), TABLES)
def test_rule(text: str, expected: list[str]) -> None:
    assert errors(text) == expected


WORDS = [
    (mac("52-54-00-00-00-0A"), 'write "52:54:00:00:00:0a"'),
    (mac("5254.0000.0001"), 'write "52:54:00:00:00:01"'),
    (mac("NONE"), 'write "none"'),
    (mac("00:00:00:00:00:00"), 'write "none"'),
    (file("vf.8.vlan = 1"), "pf.int has vfs = 8 (line 4): the last index is 7, and this is 8."),
    (file("vf.'3-1'.vlan = 1"), 'The range "3-1" runs backwards: write "1-3".'),
    (file("vf.'1-3'.vlan = 1\nvf.'2-5'.vlan = 1"), '"2-5" and "1-3" (line 6) both name VF 2-3.'),
    (file("[pool.p]\npf = 'itn'"), 'There is no pf.itn; did you mean "int"?'),
    (file("[pool.p]\npf = 'external'"), "There is no pf.external: add [pf.external]"),
    (file("[domain.d.nic.x]\nvf = 'int/1-2'"), '"int/1-2" is a range or list'),
    (file("[pool.p]\nvfs = ['int/1-3']\n[pool.q]\nvfs = ['int/2-5']"),
     "int/2-3 already belongs to pool.p (line 7)"),
    (file("[pool.p]\npf = 'int'\n[pool.q]\npf = 'int'"), "every VF of int already belongs to pool.p"),
    (nic("qos = 3"), 'Use method = "hostdev"'),
    (file("vf.3.qos = 1\n[pool.p]\npf = 'int'"), "the VF is in pool.p"),
    (nic("vlan = 5", pf="vf.3.vlan = 6"), "vlan = 5 here, and 6 in pf.int.vf.3 (line 6)."),
    (file("[domain.'a.b'.nic]\nx.vf = 'int/1'\nx.mac = '" + MAC + "'\ny.pf = 'int'\ny.mac = '" + MAC + "'"),
     f'{MAC} is that of domain."a.b".nic.x (line 8) too.'),
    (file("[pf.x]\nmatch.mac = '" + MAC + "'\nvf.1.mac = '" + MAC + "'"), "is that of pf.x (line 7) too."),
    (file("vf_defaults.min_tx_rate = 5\nvf.'2-4'.max_tx_rate = 4"),
     "min_tx_rate = 5, max_tx_rate = 4 (see pf.int.vf_defaults, line 6)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_in_plain_words(text: str, words: str) -> None:
    assert words in found(text)[0].detail


def test_repeated_entries_are_worth_a_word() -> None:
    assert notes(file("[modules]\nblacklist = ['pci-stub', 'a', 'pci_stub']")) == [
        "7:31 modules.blacklist repeated-entry"
    ]
    assert notes(file("[pool.p]\nvfs = ['int/1-3', 'int/3-4']")) == ["7:19 pool.p repeated-entry"]


def test_too_many_vfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "MAX_NAMED_VFS", 100)
    text = file("[pf.x]\nmatch.name = 'x'\nvf.'0-98' = {}\nvf.99 = {}\nvf.100 = {}")
    assert errors(text) == []
    text += "\nvf.101 = {}\nvf.102 = {}\n[pool.p]\nvfs = ['int/1']\n[domain.d.nic.x]\nvf = 'int/2'"
    assert errors(text) == [
        "11:4 pf.x.vf.101 too-many-vfs",
        "12:4 pf.x.vf.102 too-many-vfs",
        "14:8 pool.p too-many-vfs",
        "16:1 domain.d.nic.x too-many-vfs",
    ]
