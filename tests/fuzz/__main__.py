"""``make fuzz``: new examples until the time is over, Ctrl-C, or a finding. Says how to repeat what it found."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

MINUTES = float(os.environ.get("FUZZ_MINUTES", "20"))
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "200")
"""By test and round."""


def main() -> int:
    """Rounds of all tests, each with another seed."""
    until = time.monotonic() + 60 * MINUTES
    rounds = 0
    while time.monotonic() < until:
        seed = str(secrets.randbelow(2**32))
        command = [sys.executable, "-m", "pytest", "tests/fuzz", "-x", f"--hypothesis-seed={seed}", *sys.argv[1:]]
        print(f"FUZZ_EXAMPLES={EXAMPLES} {' '.join(command[1:])}", flush=True)
        code = subprocess.run(command, env={**os.environ, "FUZZ_EXAMPLES": EXAMPLES}, check=False).returncode
        if code:
            print(f"Found in round {rounds + 1}. The command above finds it again.")
            return code
        rounds += 1
    print(f"{rounds} rounds in {MINUTES:g} minutes, and nothing was found.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Ended by hand; nothing was found until then.")
