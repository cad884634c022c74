"""A plan that somebody changed by hand: what it can say, and where it is told what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode
from reconciler.host.model import Network, Nic
from reconciler.kinds.operations import OPERATIONS
from reconciler.plan.document import dump_plan, load_plan
from reconciler.plan.planner import make_plan
from tests.hosts import desired, guest, host, igb

PF = "pci/0000:01:00.0"
FILE = """
modules.blacklist = ["igbvf"]
[pf.int]
match = { name = "enp1s0" }
link = "up"
mtu = 9000
vfs = 7
vf_driver = "vfio-pci"
[pf.int.vf.1]
mac = "52:54:00:00:01:01"
vlan = 7
max_tx_rate = 100
[pool.p]
vfs = ["int/4-6"]
autostart = true
[domain.web1.nic.a]
vf = "int/2"
mac = "52:54:00:00:01:02"
[domain.web1.nic.b]
pool = "p"
"""


def written() -> dict[str, Any]:
    """A plan as this tool writes it."""
    old = Nic("interface", "ua-rec-a", "52:54:00:00:01:02", "0000:01:10.0")
    web1 = guest("web1", running=True, live=[old], config=[old])
    plan = make_plan(desired(FILE), host(igb(1, 4), domains=[web1], networks=[Network("n", "u")]))
    assert plan.actions
    found: dict[str, Any] = json.loads(dump_plan(plan))
    return found


WRITTEN = written()


def problems(document: dict[str, Any]) -> list[str]:
    """What `load_plan` says of it, line by line; empty when it is fine."""
    try:
        load_plan(json.dumps(document).encode(), "x.plan")
    except ReconcilerError as error:
        lines = error.detail.replace("x.plan can't be read as a plan:", "").split("Make one with:")[0].split("\n")
        return [line.strip() for line in lines if line.strip()]
    return []


def number_of(op: str) -> int:
    return next(number for number, action in enumerate(WRITTEN["actions"]) if action["op"] == op)


def with_args(op: str, **args: Any) -> tuple[int, dict[str, Any]]:
    """The plan with other arguments of one of its actions."""
    document = copy.deepcopy(WRITTEN)
    document["actions"][number_of(op)]["args"].update(args)
    return number_of(op), document


def test_what_this_tool_writes_is_fine() -> None:
    assert problems(WRITTEN) == []
    assert {"pf.set_numvfs", "nic.detach", "nic.attach", "vf.set", "vf.bind", "pool.define"} <= {
        action["op"] for action in WRITTEN["actions"]
    }


HOSTILE: list[tuple[str, str, Any, str]] = [
    *(
        ("pf.set_numvfs", "pf", value, ".args.pf")
        for value in (
            *("pci/..", "pci/../../../etc", "/etc", "pci/0000:01:00.0/..", "pci/0000:01:00.0\0", "pci/0000:01:00.0\n"),
            *("pci/0000:01:00.9", "PCI/0000:01:00.0", "usb/1-1", "pci/", "netdevsim/..", "", None, 3, ["pci"]),
        )
    ),
    *(("pf.set_numvfs", "vfs", value, ".args.vfs") for value in (-1, 65536, "7", True, 7.0, None, 10**30)),
    *(("pf.set_link", "link", value, ".args.link") for value in ("UP", "", True, None)),
    *(("pf.set_mtu", "mtu", value, ".args.mtu") for value in (-1, 2**31, "1500", False)),
    *(("vf.bind", "vf", value, ".args.vf") for value in (-1, 65536, "0", None)),
    *(("vf.bind", "driver", value, ".args.driver") for value in ("../x", "igb", "vfio-pci\n", None)),
    *(
        ("modules.set_blacklist", "modules", value, ".args.modules.0")
        for value in (["a/b"], ["-r"], ["a\ninstall x /bin/sh"], ["x" * 56], [""], [None])
    ),
    ("modules.set_blacklist", "modules", "igbvf", ".args.modules"),
    ("modules.set_blacklist", "until_reboot", 1, ".args.until_reboot"),
    *(("pool.define", "pool", value, ".args.pool") for value in ("", "a/b", "a\nb", "\0", "x" * 256, "é" * 128, None)),
    *(("pool.define", "vfs", [value], ".args.vfs.0") for value in ([PF], [PF, 1, 2], PF, None)),
    ("pool.define", "vfs", [["pci/..", 1]], ".args.vfs.0.0"),
    ("pool.define", "vfs", [[PF, -1]], ".args.vfs.0.1"),
    ("pool.define", "pf", PF, ".args"),
    *(("nic.attach", "domain", value, ".args.domain") for value in ("../x", "a\nb", "", None)),
    *(("nic.attach", "live", value, ".args.live") for value in (1, None, "yes")),
    *(("nic.attach", "nic", value, ".args.nic") for value in (None, [], {}, {"vf": [PF, 1], "pool": "p"})),
    *(("nic.detach", "match", value, ".args.match") for value in ({}, {"alias": "ua-a", "mac": "x"}, "ua-a")),
    ("nic.detach", "match", {"alias": "<x/>"}, ".args.match.alias"),
    ("nic.detach", "match", {"mac": "01:00:5e:00:00:01"}, ".args.match.mac"),
    ("nic.detach", "match", {"vf": "0000:01:00.0/.."}, ".args.match.vf"),
    *(
        ("vf.set", "set", {name: value}, f".args.set.{name}")
        for name, value in (
            *(("mac", mac) for mac in ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "52:54:00:AA:00:00", "x", 0)),
            *(("vlan", 4096), ("vlan", -1), ("vlan", "7"), ("qos", 8), ("vlan_proto", "802.1x")),
            *(("spoofchk", 1), ("trust", "on"), ("query_rss", None), ("link_state", "up")),
            *(("min_tx_rate", -1), ("max_tx_rate", 2**32), ("max_tx_rate", 1.5)),
        )
    ),
    ("vf.set", "set", {"numvfs": 3}, ".args.set.'numvfs'"),
    ("vf.set", "set", {}, ".args.set"),
    ("vf.set", "set", [], ".args.set"),
    ("vf.set", "more", 1, ".args.'more'"),
]


@pytest.mark.parametrize(("op", "name", "value", "where"), HOSTILE)
def test_an_argument_that_no_operation_takes(op: str, name: str, value: Any, where: str) -> None:
    number, document = with_args(op, **{name: value})
    (found,) = problems(document)
    assert found.startswith(f"at actions.{number}{where}: ")
    assert found.isprintable()


@pytest.mark.parametrize("op", sorted({action["op"] for action in WRITTEN["actions"]}))
def test_a_missing_and_a_further_argument(op: str) -> None:
    number = number_of(op)
    for name in WRITTEN["actions"][number]["args"]:
        document = copy.deepcopy(WRITTEN)
        del document["actions"][number]["args"][name]
        assert any(line.startswith(f"at actions.{number}.args") for line in problems(document)), name
    _, document = with_args(op, path="/etc/passwd")
    assert problems(document) == [f"at actions.{number}.args.'path': there is no such argument."]


def test_every_operation_says_what_it_takes() -> None:
    for operation in OPERATIONS.values():
        assert list(operation.arguments({"no": "such"})), operation.name
        assert list(operation.arguments([])), operation.name


def test_the_undo_is_held_to_the_same() -> None:
    document = copy.deepcopy(WRITTEN)
    number = number_of("pf.set_numvfs")
    document["actions"][number]["undo"] = {
        "steps": [
            {"op": "vf.bind", "address": "x", "args": {"pf": "pci/../..", "vf": 1, "driver": "none"}},
            {"op": "host.run", "address": "x", "args": {"command": "reboot"}},
        ]
    }
    assert problems(document) == [
        f"at actions.{number}.undo.steps.0.args.pf: 'pci/../..' is not a PF such as pci/0000:01:00.0.",
        f"at actions.{number}.undo.steps.1.op: 'host.run' is no operation.",
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    document = copy.deepcopy(WRITTEN)
    document["actions"][0]["op"] = "host.run"
    document["actions"][1]["id"] = document["actions"][0]["id"]
    document["actions"][2]["needs"] = ["nothing"]
    document["desired"]["pfs"]["int"]["vfs"] = -1
    found = problems(document)
    assert [line.split(": ")[0] for line in found[:1]] == ["at desired"]
    assert {line.split(": ")[0] for line in found[1:]} >= {
        "at actions.0.op",
        "at actions.1.id",
        "at actions.2.needs.0",
    }


def test_of_a_thousand_mistakes_some_are_told() -> None:
    document = copy.deepcopy(WRITTEN)
    document["actions"] = [{**document["actions"][0], "id": str(number), "op": "x"} for number in range(1000)]
    found = problems(document)
    assert (len(found), found[-1]) == (21, "And 980 more.")


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Puts the last of these where the others lead."""

    def change(document: dict[str, Any]) -> None:
        *way, last, value = path
        for key in way:
            document = document[key]
        document[last] = value

    return change


ATTRIBUTES = ("pfs", "int", "vf", "1", "attributes")
DESIRED = {
    "a VLAN": (_set(*ATTRIBUTES, "vlan", 5000), "pf.int.vf.1"),
    "a multicast MAC": (_set(*ATTRIBUTES, "mac", "01:00:5e:00:00:01"), "pf.int.vf.1"),
    "a MAC in capitals": (_set(*ATTRIBUTES, "mac", "52:54:00:AA:00:01"), "pf.int"),
    "an attribute": (_set(*ATTRIBUTES, "numvfs", 3), "pf.int.vf.1"),
    "a number of VFs": (_set("pfs", "int", "vfs", -1), "pf.int"),
    "another index": (_set("pfs", "int", "vf", "1", "index", 2), "pf.int"),
    "two NICs on a VF": (_set("domains", "web1", "nics", "c", {
        "domain": "web1", "key": "c", "method": "interface", "vf": {"pf": "int", "index": 2},
    }), "domain.web1.nic.a"),
    "a VF of a pool": (_set("domains", "web1", "nics", "a", "vf", "index", 5), "domain.web1.nic.a"),
    "a control character": (_set("domains", "a\x1b[2J", {"name": "a\x1b[2J"}), 'domain."a\\u001b[2J"'),
    "a path": (_set("pools", "../x", {"name": "../x", "vfs": []}), 'pool."../x"'),
    "another name within": (_set("domains", "web1", "name", "db1"), "domain.web1"),
    "a module": (_set("blacklist", ["a\ninstall b /bin/sh"]), "modules.blacklist"),
    "a host": (_set("host_name", "a b"), "host"),
    "a netdev": (_set("pfs", "int", "match", "name", "../../x"), "pf.int"),
    "a PCI address": (_set("pfs", "int", "match", "address", "0000:01:00.0/.."), "pf.int"),
    "a PF that is not there": (_set("pools", "p", "vfs", [{"pf": "no", "index": 1}]), "pool.p"),
    "a method": (_set("domains", "web1", "nics", "a", "method", "pool"), "domain.web1.nic.a"),
    "another version": (_set("schema", 2), "schema"),
}  # fmt: skip


@pytest.mark.parametrize("name", DESIRED)
def test_what_no_state_file_may_declare_no_plan_may_either(name: str) -> None:
    change, where = DESIRED[name]
    document = copy.deepcopy(WRITTEN)
    change(document["desired"])
    found = problems(document)
    assert any(line.startswith(f"at desired: {where}: ") for line in found), found
    assert all(line.isprintable() for line in found)


def test_a_name_forges_no_line_of_the_message() -> None:
    document = copy.deepcopy(WRITTEN)
    document["desired"]["pfs"]["a\nError: all is well\x1b[2J"] = {"name": 3}
    found = problems(document)
    assert found
    assert all(line.startswith("at desired") and line.isprintable() for line in found)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"{", b'{"format": NaN}', b"[" * 10_000, b'{"format": "\\ud800"}', b'{"a": ' + b"1" * 5000 + b"}"],
    ids=["empty", "bytes", "cut", "nan", "deep", "surrogate", "huge"],
)
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ReconcilerError) as caught:
        load_plan(data, "x.plan")
    assert caught.value.code == ExitCode.INVALID
