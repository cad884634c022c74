"""Six attributes on each of 64 VFs (netdevsim): by apply, and by what people use in its place."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrib.bench.inside import seconds, steps_and_whole
from contrib.bench.measure import Bar, CandidateFailed, Row, alternate
from tests.lab.machinery import Lab, netdevsim

IDS = ("netlink-batch", "netlink-script", "netlink-process", "netlink-requests", "netlink-child")
VFS = 64
STATES = ("auto", "enable", "disable")
STEPS = """
import json, pathlib
run = max(pathlib.Path("/var/lib/reconciler/runs").iterdir())
records = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
done = [record["outcomes"] for record in records if record["event"] == "done"]
print(sum(outcome["outcome"] == "changed" for outcomes in done for outcome in outcomes.values()))
"""
"""Prints the number of steps in which the last run changed something."""
REQUESTS = """
import json, sys, time
from reconciler.host.local import rtnl, vf_requests
from reconciler.host.local.writer import LocalWriter
from reconciler.host.protocol import VfSet
kind, interface, wanted = json.load(sys.stdin)
wanted = [VfSet(index, values) for index, values in wanted]
writer = LocalWriter("qemu:///system")
begun = time.perf_counter()
if kind == "child":
    refused = [error for error in writer.set_vfs("netdevsim/netdevsim1", wanted) if error is not None]
else:
    with rtnl.RtnlSocket() as socket:
        answers = socket.change([vf_requests.request(interface, request) for request in wanted])
    refused = [answer for answer in answers if answer.code]
took = time.perf_counter() - begun
assert not refused, refused
print(took)
"""
"""What apply calls to have VFs set; ``requests`` is the part of it that does it, without the process of its own."""
Values = dict[int, dict[str, Any]]


def values(turn: int) -> Values:
    """By VF. Each of them differs from the turn before, so that none is left out as being there already."""
    return {
        vf: {
            "mac": f"52:54:00:6e:{turn & 255:02x}:{vf:02x}",
            "vlan": 1 + (vf * 13 + turn) % 4094,
            "spoofchk": (vf + turn) % 2 == 0,
            "trust": (vf + turn) % 2 == 1,
            "link_state": STATES[(vf + turn) % 3],
            "max_tx_rate": 1000 + vf + turn,
        }
        for vf in range(VFS)
    }


class Candidates:
    """The ways to write them, each with the values of another turn, which are read back with ``ip`` afterwards."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.netdev = netdevsim.plug_in(lab, VFS, VFS)
        self.index = int(lab.run(f"cat /sys/class/net/{self.netdev}/ifindex").stdout)
        self.turn = 0
        self.whole: list[float] = []
        """Seconds of the whole process of each apply."""
        lab.run("mkdir -p /root/bench")
        self._put("/root/bench/raw", compiled())
        lab.run("chmod +x /root/bench/raw")
        self.batch()  # A fresh VF has some of the first values already.

    def apply(self) -> float:
        """Seconds of the steps of `reconciler apply`, from before the first reading to after the last reading back, and
        with all that it writes into the journal for them."""
        wanted = self._next()
        text = f'schema = 1\n[pf.many]\nmatch = {{ name = "{self.netdev}" }}\n'
        for vf, fields in wanted.items():
            text += f"[pf.many.vf.{vf}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
        self.lab.run("cat >/root/bench/host.toml", input=text)
        took, whole = steps_and_whole(self.lab, "/root/bench/host.toml")
        steps = int(self.lab.run("python3", input=STEPS).stdout)
        if steps != 6 * VFS:
            raise CandidateFailed(f"{steps} steps, and not {6 * VFS}")
        self.whole.append(whole)
        return self._checked(wanted, took)

    def batch(self) -> float:
        """``ip -batch``, a line per VF."""
        wanted = self._next()
        lines = [f"link set dev {self.netdev} vf {vf} {_words(fields)}" for vf, fields in wanted.items()]
        self.lab.run("cat >/root/bench/batch", input="\n".join(lines) + "\n")
        return self._checked(wanted, seconds(self.lab, "ip -batch /root/bench/batch"))

    def script(self) -> float:
        """One ``ip link set`` per attribute."""
        wanted = self._next()
        lines = [
            f"ip link set dev {self.netdev} vf {vf} {_words({key: value})}"
            for vf, fields in wanted.items()
            for key, value in fields.items()
        ]
        self.lab.run("cat >/root/bench/script", input="set -e\n" + "\n".join(lines) + "\n")
        return self._checked(wanted, seconds(self.lab, "bash /root/bench/script"))

    def networkd(self) -> float:
        """systemd-networkd's [SR-IOV] sections, which know no rate: from its reload until the last VF is set."""
        wanted = self._next()
        text = f"[Match]\nName={self.netdev}\n[Network]\nLinkLocalAddressing=no\n"
        for vf, fields in wanted.items():
            fields.pop("max_tx_rate")
            states = {"auto": "auto", "enable": "yes", "disable": "no"}
            text += f"[SR-IOV]\nVirtualFunction={vf}\nMACAddress={fields['mac']}\nVLANId={fields['vlan']}\n"
            text += f"MACSpoofCheck={fields['spoofchk']}\nTrust={fields['trust']}\n"
            text += f"LinkState={states[fields['link_state']]}\n"
        self.lab.run("systemctl start systemd-networkd && cat >/etc/systemd/network/10-bench.network", input=text)
        last = wanted[VFS - 1]
        state = last["link_state"]
        shown = f"vf {VFS - 1} .*{last['mac']}.*vlan {last['vlan']}.*link-state {state}"
        wait = f"until ip link show dev {self.netdev} | grep -q '{shown}'; do sleep 0.02; done"
        took = seconds(
            self.lab, f'networkctl reload && networkctl reconfigure {self.netdev} && timeout 60 bash -c "{wait}"'
        )
        found = self._checked(wanted, took)
        self.lab.run(
            "rm /etc/systemd/network/10-bench.network; systemctl stop systemd-networkd systemd-networkd.socket"
        )
        return found

    def requests(self) -> float:
        """What apply sends, without the process that it is sent from."""
        return self._inside("requests")

    def child(self) -> float:
        """The same from a process of its own, as apply does it."""
        return self._inside("child")

    def raw(self) -> float:
        """The loop in C, timed by itself."""
        return self._raw()[1]

    def raw_process(self) -> float:
        """The loop in C, the whole process."""
        return self._raw()[0]

    def _raw(self) -> tuple[float, float]:
        wanted = self._next()
        lines = [
            f"{vf} {of['mac']} {of['vlan']} {of['spoofchk']:d} {of['trust']:d} "
            f"{STATES.index(of['link_state'])} {of['max_tx_rate']}\n"
            for vf, of in wanted.items()
        ]
        self.lab.run("cat >/root/bench/values", input="".join(lines))
        whole = seconds(self.lab, f"/root/bench/raw {self.netdev} </root/bench/values")
        return self._checked(wanted, whole), float(self.lab.run("cat /tmp/bench.out").stdout)

    def _inside(self, kind: str) -> float:
        wanted = self._next()
        sent: list[tuple[int, dict[str, Any]]] = []
        for vf, fields in wanted.items():
            sent += [(vf, {"mac": fields["mac"]}), (vf, {"vlan": fields["vlan"], "qos": 0, "vlan_proto": "802.1Q"})]
            sent += [(vf, {"min_tx_rate": 0, "max_tx_rate": fields["max_tx_rate"]})]
            sent += [(vf, {key: fields[key]}) for key in ("spoofchk", "trust", "link_state")]
        self._put("/root/bench/requests.py", REQUESTS.encode())
        place = "PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps"
        told = self.lab.run(f"{place} python3 /root/bench/requests.py", input=json.dumps([kind, self.index, sent]))
        return self._checked(wanted, float(told.stdout))

    def _next(self) -> Values:
        self.turn += 1
        return values(self.turn)

    def _put(self, path: str, data: bytes) -> None:
        self.lab.run(f"base64 -d >{path}", input=base64.b64encode(data).decode())

    def _checked(self, wanted: Values, took: float) -> float:
        """The time, if these values are there by now."""
        (link,) = json.loads(self.lab.run(f"ip -d -j link show dev {self.netdev}").stdout)
        found = {vf["vf"]: _shown(vf) for vf in link["vfinfo_list"]}
        for vf, fields in wanted.items():
            there = {key: found[vf][key] for key in fields}
            if there != fields:
                raise CandidateFailed(f"VF {vf} has {there}, and not {fields}")
        return took


def _words(fields: dict[str, Any]) -> str:
    """As ``ip`` spells them."""
    names = {"link_state": "state"}
    shown = {True: "on", False: "off"}
    return " ".join(
        f"{names.get(key, key)} {shown[value] if isinstance(value, bool) else value}" for key, value in fields.items()
    )


def _shown(vf: dict[str, Any]) -> dict[str, Any]:
    (vlan,) = vf.get("vlan_list") or [{}]
    return {
        "mac": vf["address"],
        "vlan": vlan.get("vlan", 0),
        "spoofchk": vf["spoofchk"],
        "trust": vf["trust"],
        "link_state": vf["link_state"],
        "max_tx_rate": vf.get("rate", {}).get("max_tx", 0),
    }


def compiled() -> bytes:
    """The loop in C, compiled here and linked so that it runs in the lab."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "raw"
        command = ["cc", "-O2", "-static", "-o", str(target), str(Path(__file__).with_name("raw.c"))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        except FileNotFoundError:
            raise CandidateFailed("the loop in C needs a compiler: apt-get install gcc libc6-dev") from None
        if done.returncode:
            raise CandidateFailed(f"{' '.join(command)}: {done.stderr}")
        return target.read_bytes()


def prepare() -> None:
    """Without a compiler there is nothing to compare with."""
    compiled()


def rows(lab: Lab, runs: int) -> list[Row]:
    """apply's steps with their reading back; and the requests alone."""
    by = Candidates(lab)
    whole: dict[str, Callable[[], float | None]] = {
        "ours": by.apply,
        "ip -batch": by.batch,
        "one ip per attribute": by.script,
        "systemd-networkd": by.networkd,
    }
    found = alternate(whole, runs, warm_up=True)  # In a lab that was just restored all of them take longer at first.
    sent: dict[str, Callable[[], float | None]] = {
        "ours": by.requests,
        "child": by.child,
        "C": by.raw,
        "C process": by.raw_process,
    }
    alone = alternate(sent, 2 * runs, warm_up=True)
    ours, script = found.pop("ours"), found.pop("one ip per attribute")
    steps = f"apply's steps with their reading back: six attributes on each of {VFS} VFs"
    command = "reconciler apply FILE --yes"
    requests = f"the requests alone: {6 * VFS} of them, each acknowledged"
    return [
        Row("netlink-batch", steps, command, Bar("at most", 2, "ip -batch"), ours, found),
        Row(
            *("netlink-script", steps, command, Bar("at least", 25, "one ip per attribute"), ours),
            {"one ip per attribute": script},
        ),
        Row(
            *(
                "netlink-process",
                f"six attributes on each of {VFS} VFs, apply's whole process",
                command,
                None,
                by.whole[-runs:],
            ),
            {**found, "one ip per attribute": script},
        ),
        Row(
            *("netlink-requests", requests, "RtnlSocket.change", Bar("at most", 6, "raw loop in C"), alone["ours"]),
            {"raw loop in C": alone["C"]},
            note="both without starting a process",
        ),
        Row(
            *("netlink-child", f"{requests}, from a process of its own", "LocalWriter.set_vfs"),
            Bar("at most", 6, "raw loop in C, whole process"),
            alone["child"],
            {"raw loop in C, whole process": alone["C process"]},
        ),
    ]
