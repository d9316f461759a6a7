"""Lines of a traceback with the owner of their code: lsgen, the user or a library."""

from __future__ import annotations

import dis
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

__all__ = ["TracebackFrame", "frames_of", "owner_of"]

_PACKAGE = str(Path(__file__).parents[2])
_LIBRARIES = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True)
class TracebackFrame:
    """One line of a traceback, with the owner of its code: "lsgen", "user" or "library"."""

    owner: str
    file: str
    line: int
    function: str
    instruction: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, in {self.function}"

    @property
    def raises(self) -> bool:
        """Whether the line is a `raise` statement."""
        return self.instruction == "RAISE_VARARGS"

    @property
    def calls(self) -> bool:
        """Whether the line calls a function or operator written in C, which has no frames."""
        return self.instruction.startswith(("CALL", "BINARY_OP", "PRECALL", "COMPARE_OP"))


def frames_of(trace: TracebackType | None) -> Iterator[TracebackFrame]:
    """Yield the lines of a traceback, the outermost first."""
    while trace is not None:
        code = trace.tb_frame.f_code
        instruction = dis.opname[code.co_code[trace.tb_lasti]] if trace.tb_lasti >= 0 else ""
        owner = owner_of(code.co_filename, str(trace.tb_frame.f_globals.get("__name__")))
        yield TracebackFrame(owner, code.co_filename, trace.tb_lineno, code.co_name, instruction)
        trace = trace.tb_next


def owner_of(file: str, module: str) -> str:
    """Return "lsgen", "user" or "library": the owner of a source file, by its path and the name of its module."""
    trusted = [name.strip() for name in os.environ.get("LSGEN_TARGETS", "").split(",") if name.strip()]
    if any(module == name or module.startswith(f"{name}.") for name in trusted):
        return "user"
    if file.startswith(_PACKAGE + os.sep):
        return "lsgen"
    installed = file.startswith(("<", *_LIBRARIES)) or "site-packages" in file or "dist-packages" in file
    installed |= file.endswith((".pyx", ".pxd"))  # compiled
    return "library" if installed else "user"
