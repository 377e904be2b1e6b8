"""How programs are judged."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CodeSettings:
    """Limits and confinement of the programs that a model wrote.

    timeout_s:       CPU seconds of one test. Its wall-clock time may be three times that, not counting the time in
                     which it waits for a core.
    total_timeout_s: CPU seconds of one program, all its tests together. None is no such limit.
    memory_mb:       address space of one test, in MiB.
    output_mb:       what one test may write, in MiB, to standard output and to standard error each.
    isolation:       "strict": seccomp, and Landlock or bubblewrap. "seccomp": programs can read what the user can read.
                     "none": nothing but the limits.
    python:          the interpreter that runs the programs, 3.9 or later; None is this one.
    workers:         programs judged at the same time.

    Raises:
        ValueError: a limit is not positive, or isolation is none of the three.
    """

    timeout_s: float = 6.0
    total_timeout_s: float | None = None
    memory_mb: int = 2048
    output_mb: int = 16
    isolation: Literal["strict", "seccomp", "none"] = "strict"
    python: str | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("timeout_s", "total_timeout_s", "memory_mb", "output_mb", "workers"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"code.{name}={value}: a limit must be positive.")
        if self.isolation not in ("strict", "seccomp", "none"):
            raise ValueError(f"code.isolation is {self.isolation!r}; it is one of strict, seccomp, none.")
