"""What libvirt noted of a VF before it gave it to a guest, and puts back afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.host.local.sysfs import is_passthrough
from reconciler.host.model import Pf
from reconciler.state.desired import Attributes

_DIRECTORY = "run/libvirt/hostdevmgr"


def fill_saved(root: Path, pf: Pf, notes: list[str]) -> None:
    """Sets `Vf.saved` from ``/run/libvirt/hostdevmgr/PF_vfN`` (src/util/virnetdev.c, virNetDevSaveNetConfig),
    which only root can read."""
    hidden = []
    for vf in pf.vfs:
        if vf.driver is None or not is_passthrough(vf.driver):
            continue
        try:
            vf.saved = decode((root / _DIRECTORY / f"{pf.netdev}_vf{vf.index}").read_bytes())
        except FileNotFoundError:
            continue  # a plain <hostdev>: libvirt changes nothing, so it saves nothing
        except PermissionError:
            hidden.append(vf.index)
        except (OSError, ValueError) as error:
            notes.append(f"What libvirt saved of {pf.netdev} vf {vf.index} can't be read: {error}.")
    if hidden:
        notes.append(
            f"What libvirt puts back on {pf.netdev} vf {', '.join(map(str, hidden))} when its guest stops "
            "can't be read without root."
        )


def decode(data: bytes) -> Attributes:
    """MAC and VLAN from libvirt's JSON. The MAC that the VF's netdev on the host had goes before the one that
    the PF had set, as when libvirt puts it back. Raises ValueError for anything else."""
    saved = json.loads(data)
    if not isinstance(saved, dict):
        raise ValueError("it is no JSON object")
    found: Attributes = {"vlan": int(saved.get("vlanTag") or 0)}
    mac = saved.get("mac") or saved.get("adminMac")
    if mac:
        found["mac"] = str(mac).lower()
    return found
