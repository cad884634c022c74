"""The tool, on a host where somebody takes a VF right before the tool writes a number of VFs: after it has looked.

PYTHONPATH as in the wrapper `reconciler`. The deadline is shortened, so that a test needn't wait for so long.

    python3 held_meanwhile.py 0000:01:10.2 apply host.toml --yes
"""

import subprocess
import sys
from pathlib import Path

from reconciler.cli.main import main
from reconciler.host.local.writer import LocalWriter

SECONDS = 8.0
set_numvfs = LocalWriter.set_numvfs


def held(writer: LocalWriter, pf: str, count: int, deadline: float) -> None:
    """The same, with a holder."""
    command = [sys.executable, str(Path(__file__).with_name("hold_vf.py")), sys.argv[1]]
    holder = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    set_numvfs(writer, pf, count, min(deadline, SECONDS))


LocalWriter.set_numvfs = held  # type: ignore[method-assign]
main(sys.argv[2:])
