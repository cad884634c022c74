"""``make demo-lab``: the main job told in the lab, on a real kernel with emulated SR-IOV cards."""

from __future__ import annotations

import os
import sys

from contrib.demo.story import Place, chapters, tell
from tests.lab.machinery import Lab, LabError

STATE = "/opt/reconciler/src/states/lab.toml"

PLACE = Place(
    reconciler="reconciler",
    state=STATE,
    guest="web1",
    look="ip link show enp1s0; virsh dumpxml web1 | sed -n \"/<interface type='hostdev'/,/<.interface>/p\"",
    meddling="ip link set enp1s0 vf 4 max_tx_rate 20 spoofchk off && virsh net-destroy sriov-ext",
    fewer=f"sed 's/^vfs = 7/vfs = 6/; s/4-6/4-5/; s/3-6/3-5/' {STATE} > /tmp/fewer-vfs.toml",
    changed="/tmp/fewer-vfs.toml",
)


def main() -> int:
    """Tells the story in a lab of its own."""
    lab = Lab(os.environ.get("LAB_NAME") or f"demo-{os.getpid()}")
    print("Bringing up a lab: a virtual machine with SR-IOV cards. The first time it is built, which takes minutes.")

    def run(command: str) -> int:
        done = lab.run(f"{{ {command}; }} 2>&1", check=False, timeout=300)
        print(done.stdout, end="", flush=True)
        return done.returncode

    try:
        lab.up()
        lab.push()
        code = tell(chapters(PLACE), run)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        lab.down()
    if not code:
        print("\nThat was all on a virtual machine, which is gone now. To play in one yourself: make lab")
    return code


if __name__ == "__main__":
    sys.exit(main())
