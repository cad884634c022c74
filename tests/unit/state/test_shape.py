"""Keys, types and simple limits."""

from __future__ import annotations

import pytest

from tests.unit.state.support import errors, file, found

CASES = [
    # text, errors
    ("schema = 2\nfoo = 1\npf = 3", ["1:1 schema schema-unknown"]),
    ("schema = 0", ["1:1 schema schema-unknown"]),
    ('schema = "1"', ["1:1 schema wrong-type"]),
    ("schema = true", ["1:1 schema wrong-type"]),
    ("schema = 1.0", ["1:1 schema wrong-type"]),
    ("[host]\nname = 'a'", ["1:1  schema-missing"]),
    ("schema = 1\npolcy = 1", ["2:1 polcy unknown-key"]),
    ("schema = 1\n[host]\nnmae = 'x'", ["3:1 host unknown-key"]),
    ("schema = 1\nhost = 'x'", ["2:1 host wrong-type"]),
    ("schema = 1\n[host]\nname = 3", ["3:1 host wrong-type"]),
    ("schema = 1\n[[pf]]\n", ["2:3 pf wrong-type"]),
    ("schema = 1\n[[pf.int]]\n", ["2:6 pf.int wrong-type"]),
    ("schema = 1\npf.int = 3", ["2:4 pf.int wrong-type"]),
    ("schema = 1\n[policy]\ndisruption = 'all'", ["3:1 policy wrong-value"]),
    ("schema = 1\n[policy]\ndisruption = 3", ["3:1 policy wrong-value"]),
    ("schema = 1\n[policy]\nmax_vfs_per_domain = 0", ["3:1 policy out-of-range"]),
    ("schema = 1\n[modules]\nblacklist = 'ixgbevf'", ["3:1 modules.blacklist wrong-type"]),
    ("schema = 1\n[modules]\nblacklist = ['a', 3]", ["3:19 modules.blacklist wrong-type"]),
    (file("mtu = 67"), ["6:1 pf.int out-of-range"]),
    (file("mtu = 65536"), ["6:1 pf.int out-of-range"]),
    (file("mtu = '9000'"), ["6:1 pf.int wrong-type"]),
    (file("mtu = 9000.0"), ["6:1 pf.int wrong-type"]),
    (file("mtu = true"), ["6:1 pf.int wrong-type"]),
    (file("mtu = 1979-05-27"), ["6:1 pf.int wrong-type"]),
    (file("mtu = nan"), ["6:1 pf.int wrong-type"]),
    (file("mtu = 0x" + "f" * 5000), ["6:1 pf.int out-of-range"]),
    (file("link = true"), ["6:1 pf.int wrong-value"]),
    (file("link = 'Up'"), ["6:1 pf.int wrong-value"]),
    (file("vf_driver = 'igbvf'"), ["6:1 pf.int wrong-value"]),
    (file("optional = 1"), ["6:1 pf.int wrong-type"]),
    (file("[pf.x]\nmatch.name = 'x'\nvfs = -1"), ["8:1 pf.x out-of-range"]),
    (file("[pf.x]\nmatch.name = 'x'\nvfs = 65536"), ["8:1 pf.x out-of-range"]),
    (file("vf = []"), ["6:1 pf.int wrong-type"]),
    (file("vlan = 5"), ["6:1 pf.int unknown-key"]),
    (file("[pf.int.vf]\nx.vlan = 1"), ["7:1 pf.int.vf.x invalid-index"]),
    (file("vf.3 = 1"), ["6:4 pf.int.vf.3 wrong-type"]),
    (file("[pf.int.vf.3]\nvlan = 4095"), ["7:1 pf.int.vf.3 out-of-range"]),
    (file("[pf.int.vf.3]\nvlan = -1"), ["7:1 pf.int.vf.3 out-of-range"]),
    (file("[pf.int.vf.3]\nqos = 8"), ["7:1 pf.int.vf.3 out-of-range"]),
    (file("[pf.int.vf.3]\nvlan_proto = '802.1q'"), ["7:1 pf.int.vf.3 wrong-value"]),
    (file("[pf.int.vf.3]\nspoofchk = 'on'"), ["7:1 pf.int.vf.3 wrong-type"]),
    (file("[pf.int.vf.3]\ntrust = 1"), ["7:1 pf.int.vf.3 wrong-type"]),
    (file("[pf.int.vf.3]\nquery_rss = 'true'"), ["7:1 pf.int.vf.3 wrong-type"]),
    (file("[pf.int.vf.3]\nlink_state = 'up'"), ["7:1 pf.int.vf.3 wrong-value"]),
    (file("[pf.int.vf.3]\nmax_tx_rate = -1"), ["7:1 pf.int.vf.3 out-of-range"]),
    (file("[pf.int.vf.3]\nmin_tx_rate = 4294967296"), ["7:1 pf.int.vf.3 out-of-range"]),
    (file("[pf.int.vf.3]\nmac = 3"), ["7:1 pf.int.vf.3 wrong-type"]),
    (file("[pf.int.vf.3]\ndriver = 'vfio'"), ["7:1 pf.int.vf.3 wrong-value"]),
    (file("[pf.int.vf.3]\nvf_driver = 'none'"), ["7:1 pf.int.vf.3 unknown-key"]),
    (file("[pf.int.vf.'5-6,3']\nvlann = 3"), ["7:1 pf.int.vf.3 unknown-key"]),
    (file("[pf.int.vf_defaults]\ndriver = 'none'"), ["7:1 pf.int.vf_defaults unknown-key"]),
    (file("[pf.int.vf_defaults]\nvlan = 9999"), ["7:1 pf.int.vf_defaults out-of-range"]),
    (file("[pool.p]\npf = 'int'\nactive = true"), ["8:1 pool.p unknown-key"]),
    (file("[pool.p]\npf = ['int']"), ["7:1 pool.p wrong-type"]),
    (file("[pool.p]\nvfs = 'int/3'"), ["7:1 pool.p wrong-type"]),
    (file("[pool.p]\nvfs = ['int/3', 4]"), ["7:17 pool.p wrong-type"]),
    (file("[pool.p]\npf = 'int'\nautostart = 'yes'"), ["8:1 pool.p wrong-type"]),
    (file("[pool.p]\npf = 'int'\nstate = 'gone'"), ["8:1 pool.p wrong-value"]),
    (file("[domain.d]\nnic = 3"), ["7:1 domain.d wrong-type"]),
    (file("[modules]\nload = 'vfio-pci'"), ["7:1 modules.load wrong-type"]),
    (file("[modules]\nload = [3]"), ["7:9 modules.load wrong-type"]),
    (file("[services]\na = 'run'"), ["7:1 services.a wrong-value"]),
    (file("[hugepages]\n2M = '4'"), ["7:1 hugepages.2M wrong-type"]),
    (file("[hugepages]\n2M = true"), ["7:1 hugepages.2M wrong-type"]),
    (file("[hugepages]\n2M = -1"), ["7:1 hugepages.2M out-of-range"]),
    (file("[hugepages]\n2M = {}"), ["7:1 hugepages.2M wrong-type"]),
    (file("[hugepages]\n2M = { node0 = 1, nodeX = 2 }"), ["7:19 hugepages.2M unknown-key"]),
    (file("[hugepages]\n2M = { node0 = 1.5 }"), ["7:8 hugepages.2M wrong-type"]),
    (file("[hugepages]\n2M.node01 = 1"), ["7:4 hugepages.2M unknown-key"]),
    (file("[hugepages]\n2MB = 1"), ["7:1 hugepages.2MB invalid-page-size"]),
    (file("[hugepages]\n'2 M' = 1"), ['7:1 hugepages."2 M" invalid-page-size']),
    (file("[services]\na = true"), ["7:1 services.a wrong-value"]),
    (file("services = 'a'"), ["6:1 pf.int unknown-key"]),
    (file("[[services]]"), ["6:3 services wrong-type"]),
    (file("[domain.d]\nnics.x.vf = 'int/3'"), ["7:1 domain.d unknown-key"]),
    (file("[domain.d]\noptional = 'no'"), ["7:1 domain.d wrong-type"]),
    (file("[domain.d]\nroot_ports = 'x'"), ["7:1 domain.d wrong-type"]),
    (file("[domain.d]\nroot_ports = -1"), ["7:1 domain.d out-of-range"]),
    (file("[domain.d]\nroot_ports = 65"), ["7:1 domain.d out-of-range"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nfailover = 'br0'"), ["8:1 domain.d.nic.x wrong-type"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nfailover = {}"), ["8:1 domain.d.nic.x failover-bridge"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nfailover = { brigde = 'b' }"), ["8:1 domain.d.nic.x failover-bridge",
                                                                      "8:14 domain.d.nic.x unknown-key"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nfailover = { bridge = 'a/b' }"), ["8:1 domain.d.nic.x invalid-name"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nfailover = { bridge = 'abcdefghijklmnop' }"),
     ["8:1 domain.d.nic.x invalid-name"]),
    (file("[domain.d.nic.x]\nvf = 3"), ["7:1 domain.d.nic.x wrong-type"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\nmethod = 'pool'"), ["8:1 domain.d.nic.x wrong-value"]),
    (file("[domain.d.nic.x]\nvf = 'int/3'\ndriver = 'none'"), ["8:1 domain.d.nic.x unknown-key"]),
    (file("[domain.'web.a'.nic.x]\nvff = 'int/3'"), ['6:21 domain."web.a".nic.x nic-source',
                                                     '7:1 domain."web.a".nic.x unknown-key']),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_refused(text: str, expected: list[str]) -> None:
    assert errors(text) == expected


WORDS = [
    ("schema = 2", "reads schema = 1"),
    ("schema = 1\npolcy = 1", 'did you mean "policy"?'),
    (file("host_network = 'managed'"), 'host_network = "managed": allowed are "ignore".'),
    ("schema = 1\nzzz = 1", '"zzz" is no key of the file.'),
    (file("[pf.int.vf.0]\nspoofcheck = true"), 'is no key of [pf.int.vf.0]; did you mean "spoofchk"?'),
    (file("[pf.int.vf.0]\nVLAN = 3"), 'did you mean "vlan"?'),
    (file("vf_default.trust = true"), 'did you mean "vf_defaults"?'),
    (file("vlan = 5"), "write it in vf_defaults, or in vf.N"),
    (file("mac = 'x'"), "write it in vf.N"),
    (file("vf_defaults.driver = 'none'"), "vf_driver of the PF"),
    (file("vf_driver = 'vfio'"), 'allowed are "none", "vfio-pci", "kernel"; did you mean "vfio-pci"?'),
    (file("mtu = '9000'"), 'mtu = "9000": it has to be an integer, not a string: write it without quotes.'),
    (file("optional = 'True'"), "write true without quotes"),
    (file("vf.3.mac = 3"), "mac = 3: it has to be a string, not an integer: write it in quotes"),
    (file("mtu = 70000"), "mtu = 70000: it has to be at most 65535."),
    (file("vf.3.vlan = -1"), "vlan = -1: it has to be at least 0."),
    (file("mtu = 0x" + "f" * 5000), "a huge number"),
    (file("mtu = [1]"), "mtu = […]: it has to be an integer, not an array"),
    ("schema = 1\n[[pool.x]]", "write [name], not [[name]]"),
    ("schema = 1\nhost.name = 3.5", "not a float"),
    ("schema = 1\nhost.name = 1979-05-27", "not a date or time"),
    ("schema = 1\nhost.name = true", "name = true: it has to be a string, not a boolean"),
    (
        "schema = 1\nmodules.blacklist = [{}]",
        "an entry of blacklist = {…}: it has to be a string, not a table",
    ),
]


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_in_plain_words(text: str, words: str) -> None:
    assert words in found(text)[0].detail


def test_all_mistakes_in_one_run() -> None:
    text = file(
        "[pf.int.vf.9]\nvlan = '3'\n[domain.d.nic.a]\npool = 'x'\nmac = 'zz'\nqoss = 1\n"
        "[pf.int.vf.'7-4']\n[policy]\ndisruption = 'x'\n[kernel]\ncmdline = ['a b']\n"
    )
    assert errors(text) == [
        "6:12 pf.int.vf.9 index-beyond-vfs",
        "7:1 pf.int.vf.9 wrong-type",
        "9:1 domain.d.nic.a undeclared",
        "10:1 domain.d.nic.a invalid-mac",
        "11:1 domain.d.nic.a unknown-key",
        "12:12 pf.int.vf.7-4 invalid-index",
        "14:1 policy wrong-value",
        "16:12 kernel.cmdline invalid-argument",
    ]


def test_a_value_of_the_wrong_type_has_no_followers() -> None:
    """What was said wrongly still counts as said."""
    text = file(
        "[pf.x]\nmatch = 3\n[pool.p]\nvfs = 3\n[domain.d.nic.x]\npf = 3\n[domain.d.nic.y]\npool = 'p'\n"
        "[domain.d.nic.z]\nvf = 'int/3'\nmethod = 'hostdv'\nqos = 3\n"
    )
    assert errors(text) == [
        "7:1 pf.x wrong-type",
        "9:1 pool.p wrong-type",
        "11:1 domain.d.nic.x wrong-type",
        "16:1 domain.d.nic.z wrong-value",
    ]


def test_many_unknown_keys_are_quick() -> None:
    text = file("".join(f"key_{number} = 1\n" for number in range(3000)))
    assert len(errors(text)) == 3000
