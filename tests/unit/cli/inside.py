"""Commands called inside this process: many of them in little time, where no signal or kill is needed."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
from unittest import mock

from reconciler.cli.main import run
from tests.unit.cli.test_commands import Folder


class Inside(Folder):
    """A folder whose commands are called, and not started."""

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.path),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            mock.patch.object(signal, "signal"),
        ):
            code = run(list(arguments))
        assert "Something unexpected happened" not in err.getvalue(), err.getvalue()
        assert 0 <= code <= 130
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
