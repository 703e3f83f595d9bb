"""The C driver, called from Python: its registers are a device's, its memory is a buffer."""

import ctypes
import subprocess
from collections.abc import Callable, Iterable, Sequence
from ctypes import POINTER, byref, c_char_p, c_uint8, c_uint32, c_void_p
from pathlib import Path

from systolith_sim.verilator import compiler, digest

__all__ = ["CODES", "DRIVER", "STRICT", "CDriver", "c_compiler", "host_library"]

ROOT = Path(__file__).parents[1]
DRIVER = ROOT / "sw" / "c"
CODES = (
    "OK", "BUSY", "NULL", "EMPTY", "FOREIGN", "ISA", "CONFIG", "IMAGE", "DAMAGED", "RANGE", "ORDER",
    "STOPPED", "ABORTED", "TIMEOUT", "NO_TOKEN",
)  # fmt: skip
READ = ctypes.CFUNCTYPE(c_uint32, c_uint32)
WRITE = ctypes.CFUNCTYPE(None, c_uint32, c_uint32)
BARRIER = ctypes.CFUNCTYPE(None)
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


def c_compiler() -> str:
    """Return the C compiler that belongs to the C++ compiler of simulators."""
    return compiler().replace("g++", "gcc").replace("clang++", "clang")


def host_library(
    name: str, sources: Sequence[Path], first: Path, headers: Iterable[Path] = (),
    folders: Iterable[Path] = (),
) -> ctypes.CDLL:  # fmt: skip
    """Return sources and the driver, compiled once for this computer, warnings being errors.

    Parameters
    ----------
    name : str
        Of the library.
    sources : sequence of Path
    first : Path
        A header that stands before each of them.
    headers : iterable of Path
        Others that they include, besides the driver's.
    folders : iterable of Path
        Where those are.
    """
    sources = [*sources, DRIVER / "systolith.c"]
    texts = [*sources, first, *headers, DRIVER / "systolith.h"]
    path = ROOT / "build" / "tb" / f"{name}-{digest(*(text.read_bytes() for text in texts))}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{folder}" for folder in (DRIVER, *folders)]
        subprocess.run(
            [c_compiler(), *STRICT, "-O1", "-shared", "-fPIC", *includes, "-include", first,
             *sources, "-o", path], check=True,
        )  # fmt: skip
    return ctypes.CDLL(str(path))


def library() -> ctypes.CDLL:
    """Return the driver with registers behind functions, compiled once."""
    folder = ROOT / "tb" / "c"
    return host_library("c_driver", [folder / "bus.c"], folder / "bus.h")


class CDriver:
    """Calls functions of the driver; each returns the name of a code.

    Parameters
    ----------
    read, write : callable
        Registers by byte offset.
    memory : bytearray
        External memory, as the CPU sees it.
    barrier : callable
        Between accesses to memory and registers.
    """

    def __init__(
        self, read: Callable[[int], int], write: Callable[[int, int], None], memory: bytearray,
        barrier: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._library = library()
        self._functions = {
            "read": READ(read), "write": WRITE(write), "barrier": BARRIER(barrier)
        }  # fmt: skip
        for name, function in self._functions.items():
            pointer = c_void_p.in_dll(self._library, f"bus_{name}")
            pointer.value = ctypes.cast(function, c_void_p).value
        self._memory = (c_uint8 * len(memory)).from_buffer(memory)
        self.core = (c_uint32 * 32)()  # larger than the driver's struct

    def open(self, size: int | None = None) -> str:
        """Open the core, whose registers are never reached by an address."""
        size = len(self._memory) if size is None else size
        return self.call("open", self.core, self.core, self._memory, c_uint32(size))

    def load(self, image: bytes) -> str:
        """Load a model image."""
        return self.call("load", self.core, image, c_uint32(len(image)))

    def prompt(self, tokens: list[int], make: int) -> str:
        """Write a prompt."""
        array = (c_uint32 * max(1, len(tokens)))(*tokens)
        return self.call("prompt", self.core, array, c_uint32(len(tokens)), c_uint32(make))

    def token(self, position: int) -> int | str:
        """Return a token, or the name of the code."""
        token = c_uint32()
        code = self.call("token", self.core, c_uint32(position), byref(token))
        return token.value if code == "OK" else code

    def why(self) -> list[int]:
        """Return error, unit and instruction of a program that was stopped."""
        fault = (c_uint32 * 3)()
        assert self.call("why", self.core, fault) == "OK"
        return list(fault)

    def call(self, name: str, *arguments: object) -> str:
        """Call a function; numbers are 32 bits wide."""
        function = getattr(self._library, f"systolith_{name}")
        function.restype = ctypes.c_int
        return CODES[function(*arguments)]

    def text(self, name: str, number: int) -> str:
        """Return what one of the functions that name numbers says."""
        function = getattr(self._library, f"systolith_{name}")
        function.restype, function.argtypes = c_char_p, [c_uint32]
        return function(number).decode()


Words = POINTER(c_uint32)
