"""What can go wrong with a lab, as one family of errors whose text is meant to be read."""


class LabError(Exception):
    """Something about the lab itself failed; the text says what, and what to look at."""


class Timeout(LabError):
    """A condition did not become true before its deadline."""


class CommandFailed(LabError):
    """A command inside the lab ended with a non-zero status."""

    def __init__(self, command: str, status: int, stdout: str, stderr: str) -> None:
        self.command = command
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        output = "\n".join(part.rstrip() for part in (stdout, stderr) if part.strip())
        super().__init__(f"in the lab, status {status}: {command}\n{output}".rstrip())
