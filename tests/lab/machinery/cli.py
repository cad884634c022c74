"""The command line of `tests/lab/lab`."""

import argparse
import sys
from collections.abc import Callable

from tests.lab.machinery import image
from tests.lab.machinery.basics import cache, say
from tests.lab.machinery.core import Lab, labs, prune
from tests.lab.machinery.errors import LabError
from tests.lab.machinery.hardware import CARDS

DESCRIPTION = """\
A host with real SR-IOV cards, as a virtual machine: three Intel 82576 (QEMU's igb, 7 VFs each), an IOMMU,
libvirt, and guests inside that take VFs. It needs neither special hardware nor root.
"""

EPILOG = f"""\
a first session:
  tests/lab/lab up                       build what is missing (minutes), start (seconds)
  tests/lab/lab push                     bring the checkout's code into the lab
  tests/lab/lab run reconciler --help    run the tool there
  tests/lab/lab run 'echo 2 >/sys/class/net/enp1s0/device/sriov_numvfs && lspci'
  tests/lab/lab restore                  back to a clean host, in seconds (the code has to be pushed again)
  tests/lab/lab monitor set_link pf0 off pull a cable ({", ".join(f"{c.id} is {c.netdev}" for c in CARDS)})
  tests/lab/lab monitor device_del pf1   pull a card
  tests/lab/lab down                     throw it away

Several labs run side by side: --name a, --name b. Each takes up to 4 GB of memory.
More is in tests/lab/README.md.
"""


def main() -> int:
    """Run one command; the return value is the process's exit status."""
    arguments = _parser().parse_args()
    try:
        lab = Lab(arguments.name)
        command: Callable[[Lab, argparse.Namespace], int] = arguments.command
        return command(lab, arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/lab/lab",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", help="which lab (default: the variable LAB_NAME, else 'default')")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Lab, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    add("build", _build, "build the disk image, if this checkout's isn't there yet")
    add("up", _up, "start the lab; builds and prepares what is missing")
    run = add("run", _run, "run a command in the lab as root, with this terminal's input and output")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help="a command line of the lab's shell")
    add("ssh", _ssh, "an interactive shell in the lab")
    add("push", _push, "bring the checkout's code into the lab, byte-compiled")
    restore = add("restore", _restore, "go back to a snapshot")
    restore.add_argument("snapshot", nargs="?", default="clean", metavar="SNAPSHOT", help="default: clean")
    save = add("save", _save, "keep the present state, memory and disk, as a snapshot")
    save.add_argument("snapshot", metavar="SNAPSHOT")
    add("reboot", _reboot, "reboot the lab from inside, and wait until it has settled")
    monitor = add("monitor", _monitor, "run a line of QEMU's monitor (try: help, info pci, set_link, device_del)")
    monitor.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    add("down", _down, "end the lab and remove its files; images and prepared disks stay")
    add("prune", _prune, "remove images and prepared disks that neither this checkout nor a lab needs")
    add("status", _status, "say which labs there are, and how to reach them")
    return parser


def _build(lab: Lab, arguments: argparse.Namespace) -> int:
    print(image.build().dir)
    return 0


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.up()
    return 0


def _run(lab: Lab, arguments: argparse.Namespace) -> int:
    if not arguments.words:
        raise LabError("run needs a command, like: tests/lab/lab run ip link")
    return lab.interactive(" ".join(arguments.words))


def _ssh(lab: Lab, arguments: argparse.Namespace) -> int:
    return lab.interactive()


def _push(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.push()
    say("pushed")
    return 0


def _restore(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.restore(arguments.snapshot)
    say("restored")
    return 0


def _save(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.save(arguments.snapshot)
    say("saved")
    return 0


def _reboot(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.reboot()
    return 0


def _monitor(lab: Lab, arguments: argparse.Namespace) -> int:
    sys.stdout.write(lab.monitor(" ".join(arguments.words)))
    return 0


def _down(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.down()
    say(f"the lab {lab.name!r} is gone")
    return 0


def _prune(lab: Lab, arguments: argparse.Namespace) -> int:
    for path in prune():
        print(f"removed {path}")
    return 0


def _status(lab: Lab, arguments: argparse.Namespace) -> int:
    present = labs()
    print(f"files: {cache()}")
    for each in present:
        if each.running():
            print(f"{each.name}: runs, ssh on port {each.port}, snapshots: {', '.join(each.snapshots())}")
        else:
            print(f"{each.name}: doesn't run (up starts it again)")
    if not present:
        print("no lab (up starts one)")
    return 0
