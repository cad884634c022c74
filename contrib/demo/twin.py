"""``make demo``: the main job on a simulated host, an R620 with two X520 and a dozen guests. No root, no hardware."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from contrib.demo.story import Place, chapters, tell

FOLDER = Path("build/demo")
HOST = FOLDER / "r620-01.sim"
COMMAND = f"reconciler --host sim:{HOST}"
STATE = "states/r620-x520.toml"
CHANGED = FOLDER / "fewer-vfs.toml"

PLACE = Place(
    reconciler=COMMAND,
    state=STATE,
    guest="web1",
    look=f"{COMMAND} inspect | grep -E 'web1|db1'",
    meddling=" && ".join(
        f"reconciler sim run {HOST} {command}"
        for command in (
            "ip link set p1p1 vf 5 max_tx_rate 9000 spoofchk off",
            "virsh net-autostart sriov-ext --disable",
        )
    ),
    fewer=f"sed 's/^vfs = 63/vfs = 32/; s/8-62/8-31/' {STATE} > {CHANGED}",
    changed=str(CHANGED),
)


def main() -> int:
    """Tells the story from a new twin on."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(f"A simulated host: all it knows is in {HOST}, so that each command here can be repeated and varied.")
    new = f"reconciler sim new {HOST} --profile r620-x520"
    print(f"$ {new}", flush=True)
    code = _run(new) or tell(chapters(PLACE), _run)
    if not code:
        print(f"\nThat was all on a twin. Play on: {COMMAND} inspect. The same on a real kernel: make demo-lab")
    return code


def _run(command: str) -> int:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(
        ["sh", "-c", f"{{ {command}; }} 2>&1"], env={**os.environ, "PATH": path}, check=False, timeout=120
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
