"""Asking guest agents: what they say when all is well, when parts are disabled, and when they lie or hang."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reconciler.host.local import agent_answers, guest_agent
from reconciler.host.local.agent_answers import BadAnswer
from reconciler.host.local.guest_agent import ask_guests, channel
from reconciler.host.local.libvirt import LibvirtReader
from reconciler.host.local.libvirt_xml import has_vfs, parse
from reconciler.host.platform import Inside, InsideNic, Platform
from tests.unit.host.fake_libvirt import FakeLibvirt, Thing, libvirtError

MAC = "52:54:00:6d:97:01"
OUTPUT = f"irqbalance\nprocesses\nnic eth0 {MAC} iavf 4 br0\nnic lo 00:00:00:00:00:00 - 1 -\nend\n"
INTERRUPTS = " 30:  0  0 PCI-MSIX-0000:02:00.0  0-edge  {0}-rx-0\n 31: 5 6 PCI-MSIX  1-edge  {0}-rx-1\n 32: 1 1 x {0}\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Agent:
    """A guest agent with files; `disabled` commands aren't listed, `says` overrides answers."""

    def __init__(self, disabled: tuple[str, ...] = (), **says: Any) -> None:
        self.disabled, self.says, self.asked = disabled, says, []
        self.files = {"/proc/interrupts": INTERRUPTS.format("eth0")}
        self.open: dict[int, str] = {}

    def __call__(self, domain: str, text: str, seconds: int) -> Any:
        command = json.loads(text)
        name, arguments = command["execute"], command.get("arguments", {})
        self.asked.append(name)
        assert 1 <= seconds <= 5
        said = self.says.get(name.replace("-", "_"), getattr(self, name.replace("-", "_"), None))
        said = said(**arguments) if callable(said) else said
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, str) else json.dumps({"return": said})

    def guest_info(self) -> Any:
        names = [
            *("guest-info", "guest-get-osinfo", "guest-get-vcpus", "guest-network-get-interfaces", "guest-exec"),
            *("guest-exec-status", "guest-file-open", "guest-file-read", "guest-file-close"),
        ]
        return {"supported_commands": [{"name": name, "enabled": name not in self.disabled} for name in names]}

    def guest_get_osinfo(self) -> Any:
        return {"id": "debian", "name": "Debian"}

    def guest_get_vcpus(self) -> Any:
        return [{"online": True}, {"online": True}, {"online": False}]

    def guest_network_get_interfaces(self) -> Any:
        return [{"name": "eth0", "hardware-address": MAC.upper()}, {"name": "sit0"}]

    def guest_exec(self, path: str, arg: list[str], **options: Any) -> Any:
        assert (path, arg, options) == ("/bin/sh", ["-c", agent_answers.SCRIPT], {"capture-output": True})
        return {"pid": 7}

    def guest_exec_status(self, pid: int) -> Any:
        assert pid == 7
        if self.asked.count("guest-exec-status") < 2:
            return {"exited": False}
        return {"exited": True, "exitcode": 0, "out-data": encoded(OUTPUT)}

    def guest_file_open(self, path: str, mode: str) -> Any:
        assert mode == "r"
        if path not in self.files:
            return libvirtError(f"failed to open file '{path}': No such file or directory")
        self.open[len(self.open)] = path
        return len(self.open) - 1

    def guest_file_read(self, handle: int, count: int) -> Any:
        return {"count": 1, "buf-b64": encoded(self.files[self.open[handle]]), "eof": True}

    def guest_file_close(self, handle: int) -> Any:
        self.open[handle] = "closed"
        return {}


def ask(agent: Callable[[str, str, int], Any], seconds: float = 5) -> Inside:
    return ask_guests(agent, {"web1": "connected"}, seconds)["web1"]


def test_all_is_told() -> None:
    found = ask(Agent())
    assert (found.agent, found.system, found.processors, found.irqbalance) == ("answers", "debian", 2, True)
    assert found.nics is not None
    assert found.nics[0] == InsideNic("eth0", MAC, "iavf", 4, "br0")
    assert found.nics[1] == InsideNic("lo", "00:00:00:00:00:00", "", 1, "")
    assert found.unknown == []


def test_files_tell_a_part_where_no_command_may_run() -> None:
    agent = Agent(("guest-exec",))
    assert ask(agent).nics == [InsideNic("eth0", MAC, None, 2, "")]
    agent = Agent(("guest-exec-status",))
    agent.files["/sys/class/net/eth0/master/uevent"] = "DEVTYPE=bridge\nINTERFACE=br7\nIFINDEX=4\n"
    found = ask(agent)
    assert found.nics == [InsideNic("eth0", MAC, None, 2, "br7")]
    assert found.irqbalance is None
    assert found.unknown == ["Not known: irqbalance, since its agent doesn't allow guest-exec."]
    assert set(agent.open.values()) == {"closed"}


def test_each_disabled_command_leaves_the_others() -> None:
    """As RHEL has it: neither commands nor files."""
    found = ask(Agent(("guest-exec", "guest-exec-status", "guest-file-open", "guest-file-read", "guest-file-close")))
    assert (found.system, found.processors, found.nics) == ("debian", 2, [InsideNic("eth0", MAC)])
    assert [item.split(",")[0] for item in found.unknown] == [
        "Not known: irqbalance",
        "Not known: queues and bridges of its interfaces",
    ]
    found = ask(Agent(("guest-get-osinfo", "guest-get-vcpus")))
    assert (found.system, found.processors, found.irqbalance) == (None, None, True)
    assert len(found.unknown) == 2


def test_windows_is_asked_for_no_shell_and_no_files() -> None:
    agent = Agent(guest_get_osinfo={"id": "mswindows"})
    found = ask(agent)
    assert found.nics == [InsideNic("eth0", MAC)]
    assert not {"guest-exec", "guest-file-open"} & set(agent.asked)


@pytest.mark.parametrize(
    "said",
    [
        "no JSON \x1b[2J",
        "",
        "[1, 2]",
        '{"error": {"desc": "x"}}',
        '{"return": {}}',
        '{"return": {"supported_commands": 7}}',
        '{"return": NaN}',
        "[" * 5000,
        "x" * (1 << 21),
        libvirtError("Guest agent is not responding: \x1b[31m"),
        None,
    ],
)
def test_garbage_is_no_agent(said: Any) -> None:
    found = ask(Agent(guest_info=said))
    assert found.agent == "silent"
    assert found.reason
    assert found.nics is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("guest_get_osinfo", {"id": "\x1b[2J"}),
        ("guest_get_osinfo", []),
        ("guest_get_vcpus", [{"online": "yes"}]),
        ("guest_get_vcpus", -3),
        ("guest_get_vcpus", [{"online": True}] * 5000),
    ],
)
def test_one_answer_that_no_system_gives_is_not_known(command: str, said: Any) -> None:
    found = ask(Agent(**{command: said}))
    assert (found.system if command == "guest_get_osinfo" else found.processors) is None
    assert found.irqbalance is True


@pytest.mark.parametrize(
    "said",
    [
        {"exited": True},
        {"exited": True, "out-data": "%%%"},
        {"exited": True, "out-data": encoded("irqbalance\nprocesses\n")},
        {"exited": True, "out-data": encoded("/bin/sh: not found\nend\n")},
        [],
        libvirtError("Command guest-exec-status has been disabled"),
    ],
)
def test_a_shell_that_says_something_else(said: Any) -> None:
    found = ask(Agent(guest_exec_status=said))
    assert found.irqbalance is None
    assert "irqbalance" in found.unknown[0]
    assert found.nics is not None
    assert found.nics[0].queues == 2, "by files then"


def test_hostile_lines_are_left_out() -> None:
    lines = [
        f"nic \x1b[2J {MAC} iavf 4 -",
        f"nic a/b {MAC} iavf 4 -",
        "nic eth9 zz:zz iavf 4 -",
        f"nic eth1 {MAC} iavf -4 -",
        f"nic eth2 {MAC} iavf 99999999999 -",
        f"nic eth3 {MAC} ia vf 4 -",
        f"nic {'x' * 300} {MAC} iavf 4 -",
    ]
    running, nics = agent_answers.looked("\n".join(["processes", *lines, "end"]))
    assert not running
    assert nics == [InsideNic("eth1", MAC, "iavf", None, ""), InsideNic("eth2", MAC, "iavf", None, "")]


def test_interfaces_by_the_agents_own_list() -> None:
    said = [{"name": "a\nb", "hardware-address": MAC}, {"name": "Ethernet 2", "hardware-address": "52-54-00-6D-97-01"}]
    assert agent_answers.nics(said) == [InsideNic("Ethernet 2", MAC)]
    assert agent_answers.nics({"name": "x"}) is None


@pytest.mark.parametrize("name", ["eth0", "iavf-eth0"])
def test_queues_by_the_names_of_interrupts(name: str) -> None:
    assert agent_answers.queues_by_interrupts(INTERRUPTS.format(name), "eth0") == 2
    assert agent_answers.queues_by_interrupts(INTERRUPTS.format(name), "eth01") is None
    assert agent_answers.queues_by_interrupts(" 1: eth0-TxRx-0\n 2: eth0-TxRx-1\n 3: eth0:mbx", "eth0") == 2


def test_answers_are_the_value_of_return() -> None:
    assert agent_answers.returned('{"return": {"a": 1}}') == {"a": 1}
    with pytest.raises(BadAnswer, match="no JSON"):
        agent_answers.returned("{")


def test_a_guest_that_hangs_costs_no_more_than_the_time_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_agent, "_AT_ONCE", 2)
    over = threading.Event()
    good = Agent()

    def command(domain: str, text: str, seconds: int) -> Any:
        if domain == "good":
            return good(domain, text, seconds)
        over.wait(20)
        raise libvirtError("late")

    begun = time.monotonic()
    guests = {
        "good": "connected",
        "hang1": "connected",
        "hang2": "connected",
        "off": "disconnected",
        "late": "connected",
    }
    found = ask_guests(command, guests, 2.0)
    assert time.monotonic() - begun < 5
    over.set()
    assert {name: inside.agent for name, inside in found.items()} == {
        "good": "answers",
        "hang1": "silent",
        "hang2": "silent",
        "off": "disconnected",
        "late": "unasked",
    }
    assert "2 s" in found["hang1"].reason
    assert "2 s" in found["late"].reason


def test_a_command_that_never_ends_is_given_up() -> None:
    found = ask(Agent(guest_exec_status={"exited": False}), 2.0)
    assert found.irqbalance is None
    assert "no time left" in found.unknown[0]


@pytest.mark.parametrize(
    ("target", "state"),
    [
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>", "connected"),
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>", "disconnected"),
        ("<target type='virtio' name='com.redhat.spice.0' state='connected'/>", "absent"),
        ("", "absent"),
    ],
)
def test_the_channel(target: str, state: str) -> None:
    xml = f"<domain><devices><channel type='unix'>{target}</channel></devices></domain>"
    assert channel(parse(xml)) == state


ADDRESS = "<source><address type='pci' domain='0' bus='1' slot='0x10' function='0'/></source>"


@pytest.mark.parametrize(
    ("device", "has"),
    [
        (f"<interface type='hostdev'>{ADDRESS}</interface>", True),
        (f"<interface type='network'>{ADDRESS}</interface>", True),
        ("<interface type='network'><source network='default'/></interface>", False),
        (f"<hostdev mode='subsystem' type='pci'>{ADDRESS}</hostdev>", True),
        (f"<hostdev mode='subsystem' type='pci'>{ADDRESS.replace('0x10', '0x11')}</hostdev>", False),
    ],
)
def test_guests_with_vfs(device: str, has: bool) -> None:
    assert has_vfs(parse(f"<domain><devices>{device}</devices></domain>"), lambda a: a == "0000:01:10.0") is has


def agent_module(monkeypatch: pytest.MonkeyPatch, agent: Agent) -> None:
    module = ModuleType("libvirt_qemu")
    module.qemuAgentCommand = lambda domain, text, seconds, flags: agent(domain.name(), text, seconds)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "libvirt_qemu", module)


def guests(libvirt: FakeLibvirt) -> None:
    device = f"<interface type='hostdev'>{ADDRESS}</interface>"
    target = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
    libvirt.domains = [
        Thing("web1", isActive=True, XMLDesc=f"<domain><devices>{device}{target}</devices></domain>"),
        Thing("db1", isActive=True, XMLDesc=f"<domain><devices>{device}</devices></domain>"),
        Thing("plain", isActive=True, XMLDesc="<domain><devices/></domain>"),
        Thing("off", isActive=False, XMLDesc=f"<domain><devices>{device}{target}</devices></domain>"),
    ]
    libvirt.connection.answers["getVersion"] = 10000003


def test_libvirt_is_asked_over_a_connection_that_may_write(
    libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_module(monkeypatch, Agent())
    guests(libvirt)
    found = Platform()
    LibvirtReader("qemu:///system").examine(found, lambda address: True)
    assert found.inside is not None
    assert {name: inside.agent for name, inside in found.inside.items()} == {"web1": "answers", "db1": "absent"}
    assert libvirt.opened == ["ro", "rw"]


def test_who_may_not_write_is_told(libvirt: FakeLibvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_module(monkeypatch, Agent())
    guests(libvirt)
    monkeypatch.setattr(libvirt, "openReadOnly", lambda uri: libvirt.connection)
    libvirt.refuses = libvirtError("access denied")
    found = Platform()
    LibvirtReader("qemu:///system").examine(found, lambda address: True)
    assert found.inside is not None
    assert found.inside["web1"].agent == "unasked"
    assert "access denied" in found.inside["web1"].reason


def test_the_script_runs_in_a_shell_and_changes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(["/bin/sh", "-c", agent_answers.SCRIPT], capture_output=True, text=True, check=True)
    running, nics = agent_answers.looked(done.stdout)
    assert not done.stderr
    assert "lo" in [nic.name for nic in nics]
    assert running in (True, False)


def test_a_port_of_a_bond_has_the_mac_that_it_came_with(tmp_path: Path) -> None:
    for name, own in (("eth0", MAC), ("eth1", MAC[:-1] + "9"), ("bond0", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "address").write_text(f"{MAC}\n")
        if own:
            (tmp_path / name / "bonding_slave").mkdir()
            (tmp_path / name / "bonding_slave" / "perm_hwaddr").write_text(f"{own}\n")
    script = agent_answers.SCRIPT.replace("/sys/class/net", str(tmp_path))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    macs = {nic.name: nic.mac for nic in agent_answers.looked(done.stdout)[1]}
    assert macs == {"eth0": MAC, "eth1": MAC[:-1] + "9", "bond0": MAC}


def test_files_tell_the_mac_that_a_port_of_a_bond_came_with() -> None:
    names = ("eth0", "eth1", "eth2", "bond0")
    agent = Agent(
        ("guest-exec",), guest_network_get_interfaces=[{"name": name, "hardware-address": MAC} for name in names]
    )
    own = {"eth0": MAC, "eth1": (MAC[:-1] + "9").upper(), "eth2": "\x1b[2J"}
    for name, mac in own.items():
        agent.files[f"/sys/class/net/{name}/master/uevent"] = "DEVTYPE=bond\nINTERFACE=bond0\n"
        agent.files[f"/sys/class/net/{name}/bonding_slave/perm_hwaddr"] = f"{mac}\n"
    found = ask(agent)
    assert [nic.mac for nic in found.nics or []] == [MAC, MAC[:-1] + "9", MAC, MAC]
    assert {nic.bridge for nic in found.nics or []} == {""}
