"""``make demo``: the main job, told in the lab: a clean host, one state file, plan, apply, drift.

Everything that is shown is what the command printed, on a real kernel with emulated SR-IOV cards.
"""

from __future__ import annotations

import os
import sys

from tests.lab.machinery import Lab, LabError

STATE = "/opt/reconciler/src/states/lab.toml"

STORY: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("The host as it is: three ports, no VFs, the guest web1 runs.", "reconciler inspect", (0,)),
    ("What the state file says.", f"sed -n '1,30p' {STATE}; echo '…'", (0,)),
    ("The plan. Nothing is changed.", f"reconciler plan {STATE}", (0,)),
    ("It is carried out, each step read back.", f"reconciler apply {STATE} --yes", (0,)),
    (
        "web1 runs on, and has VF 3 now: as the kernel and libvirt tell it.",
        "ip link show enp1s0; virsh dumpxml web1 | sed -n \"/<interface type='hostdev'/,/<.interface>/p\"",
        (0,),
    ),
    (
        "Someone changes things by hand …",
        "ip link set enp1s0 vf 4 max_tx_rate 20 spoofchk off && virsh net-destroy sriov-ext",
        (0,),
    ),
    ("… which the drift check finds (exit code 2) …", f"reconciler drift {STATE}", (2,)),
    ("… and apply mends: this, and nothing else.", f"reconciler apply {STATE} --yes", (0,)),
    ("In sync again.", f"reconciler drift {STATE}", (0,)),
)


def main() -> int:
    """Tells the story; 1 if a command ended otherwise than the story says."""
    lab = Lab(os.environ.get("LAB_NAME") or f"demo-{os.getpid()}")
    print("Bringing up a lab: a virtual machine with SR-IOV cards. The first time it is built, which takes minutes.")
    try:
        lab.up()
        lab.push()
        for number, (title, command, expected) in enumerate(STORY, start=1):
            print(f"\n━━ {number}. {title}\n$ {command}\n", flush=True)
            done = lab.run(f"{{ {command}; }} 2>&1", check=False, timeout=300)
            print(done.stdout, end="", flush=True)
            if done.returncode not in expected:
                print(
                    f"\nThe story ends here: exit code {done.returncode}, expected {expected[0]}.",
                    file=sys.stderr,
                )
                return 1
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        lab.down()
    print("\nThat was all on a virtual machine, which is gone now. To play in one yourself: make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
