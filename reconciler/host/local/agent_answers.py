"""What a QEMU guest agent answers, read with care: whoever has the guest decides what it says.

Formats: QEMU's qga/qapi-schema.json. Names and numbers that no system has are taken as not said.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from reconciler.host.platform import InsideNic
from reconciler.json_data import read_json

MOST = 4096
"""Of anything that is listed or counted."""
_LONGEST = 1 << 20
"""Characters of an answer; a list of all commands has 5,000."""
_NAME = re.compile(r"[!-.0-~]{1,64}")
"""An interface's name: on Linux up to 15 characters without blanks and slashes."""
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_SYSTEM = re.compile(r"[a-z0-9._-]{1,64}")


class BadAnswer(Exception):
    """It is not what the protocol has; the message is the end of a sentence."""


def returned(text: object) -> Any:
    """The value of ``{"return": …}``."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise BadAnswer("it answers with more than any answer has" if isinstance(text, str) else "it answers nothing")
    try:
        answer = read_json(text)
    except ValueError:
        raise BadAnswer("its answer is no JSON") from None
    if not isinstance(answer, dict) or "return" not in answer:
        raise BadAnswer("its answer is none of a guest agent")
    return answer["return"]


def commands(info: Any) -> set[str]:
    """The names of the commands that may be used (guest-info)."""
    listed = info.get("supported_commands") if isinstance(info, dict) else None
    if not isinstance(listed, list):
        raise BadAnswer("its answer is none of a guest agent")
    return {
        item["name"]
        for item in listed
        if isinstance(item, dict) and item.get("enabled") is True and isinstance(item.get("name"), str)
    }


def system(info: Any) -> str | None:
    """The id of guest-get-osinfo."""
    name = info.get("id") if isinstance(info, dict) else None
    return name if isinstance(name, str) and _SYSTEM.fullmatch(name) else None


def processors(vcpus: Any) -> int | None:
    """How many of guest-get-vcpus are in use."""
    if not isinstance(vcpus, list):
        return None
    online = sum(isinstance(vcpu, dict) and vcpu.get("online") is True for vcpu in vcpus)
    return online if 0 < online <= MOST else None


def nics(interfaces: Any) -> list[InsideNic] | None:
    """Names and MACs of guest-network-get-interfaces."""
    if not isinstance(interfaces, list):
        return None
    found = []
    for item in interfaces[:MOST]:
        name, mac = (item.get("name"), item.get("hardware-address")) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and isinstance(mac, str) and name.isprintable() and len(name) <= 128:
            mac = mac.lower().replace("-", ":")
            if _MAC.fullmatch(mac):
                found.append(InsideNic(name, mac))
    return found


def decoded(data: Any) -> str:
    """The text of ``out-data`` and ``buf-b64``."""
    if not isinstance(data, str):
        return ""
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise BadAnswer("it sends a file that is not in base64") from None


SCRIPT = r"""
for d in /proc/[0-9]*; do
    read -r n <"$d/comm" && [ "$n" = irqbalance ] && echo irqbalance && break
done 2>/dev/null
echo processes
for d in /sys/class/net/*; do
    n=${d##*/} q=0 b= k= m= t=$d
    f=$d/bonding_slave/perm_hwaddr
    [ -r "$f" ] || f=$d/address
    read -r m <"$f"
    for f in "$d"/queues/rx-*; do [ -e "$f" ] && q=$((q+1)); done
    while [ -e "$t/master" ]; do
        t=$(readlink -f "$t/master")
        [ -d "$t/bridge" ] && b=${t##*/} && break
    done
    [ -e "$d/device/driver" ] && k=$(readlink "$d/device/driver") && k=${k##*/}
    echo "nic $n ${m:--} ${k:--} $q ${b:--}"
done 2>/dev/null
echo end
"""
"""Looks, and changes nothing: whether irqbalance runs, and of each interface name, MAC, driver, receive queues and the
Linux bridge that it is a port of, be it through a bond. Open vSwitch is a master without a directory ``bridge``. All
ports of a bond show its MAC in ``address``; the one that each came with is in ``bonding_slave/perm_hwaddr``
(drivers/net/bonding/bond_sysfs_slave.c)."""


def looked(output: str) -> tuple[bool, list[InsideNic]]:
    """What `SCRIPT` printed: whether irqbalance runs, and the interfaces."""
    lines = output.splitlines()
    if "processes" not in lines or lines[-1:] != ["end"]:
        raise BadAnswer("its shell doesn't say what it was asked")
    found = []
    for line in lines[:MOST]:
        match line.split(" "):
            case ["nic", name, mac, driver, count, bridge] if _MAC.fullmatch(mac.lower()):
                if all(_NAME.fullmatch(word) for word in (name, driver, bridge)):
                    own, bridge = ("" if word == "-" else word for word in (driver, bridge))
                    found.append(InsideNic(name, mac.lower(), own, queues(count), bridge))
    return "irqbalance" in lines, found


def queues(text: str) -> int | None:
    """A number of queues."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    return number if 0 < number <= MOST else None


def queues_by_interrupts(text: str, name: str) -> int | None:
    """Receive queues of an interface by the names of its interrupts in /proc/interrupts: ``eth0-rx-0`` (igbvf),
    ``eth0-TxRx-1`` (ixgbevf), ``iavf-eth0-TxRx-3``; ``None`` when none has such a name."""
    pattern = re.compile(rf"(?:[a-z0-9_]+-)?{re.escape(name)}-(?:rx|TxRx|input)-?(\d+)", re.IGNORECASE)
    last = (line.split()[-1] for line in text.splitlines()[:MOST] if line.strip())
    numbers = {match[1] for word in last if (match := pattern.fullmatch(word))}
    return len(numbers) or None


def own_mac(text: str) -> str | None:
    """The MAC that a port of a bond came with, of its file ``bonding_slave/perm_hwaddr``."""
    mac = text.strip().lower()
    return mac if _MAC.fullmatch(mac) else None


def bridge_of(uevent: str) -> str:
    """The Linux bridge whose ``uevent`` this is; "" when it is another device's."""
    fields = dict(line.split("=", 1) for line in uevent.splitlines() if "=" in line)
    name = fields.get("INTERFACE", "")
    return name if fields.get("DEVTYPE") == "bridge" and _NAME.fullmatch(name) else ""
