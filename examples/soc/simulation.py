"""The system in Verilator, with main memory and somebody who reads the serial line."""

import ctypes
import functools
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from system import Settings, Soc
from systolith_fpga.soc.cpu import cpu_named
from systolith_hw.config import Config
from systolith_hw.verilog import component_verilog
from systolith_sim import verilator

__all__ = ["Simulation"]

SOURCE = Path(__file__).parent / "simulation.cpp"
PUBLIC = '`verilator_config\npublic_flat_rw -module "soc.local" -var "memory"\n'
END = "\004"
STEP = 100_000


class Simulation:
    """A system that runs, cycle by cycle.

    Parameters
    ----------
    config : Config
        The core.
    settings : Settings
        Without contents.
    memory_bytes : int
        Main memory, a multiple of a word.
    latency : int
        Cycles from an access of main memory to its answer; it takes an access in each cycle.
    pauses : float
        Probability that it takes none in a cycle, and that it does not answer in one.
    seed : int
        Of these.
    report : callable
        Told about what takes long.
    """

    def __init__(
        self, config: Config, settings: Settings, memory_bytes: int, *, latency: int = 1,
        pauses: float = 0.0, seed: int = 1, report: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        if not 0 <= pauses < 1:
            raise ValueError(f"pauses must be in 0..1, not {pauses}")
        if latency < 1:
            raise ValueError(f"latency must be at least 1 cycle, not {latency}")
        self._library = _library(config, settings, report)
        self._handle = self._library.soc_create(
            memory_bytes, config.bus.data_bytes, latency, round(pauses * 65536), seed,
            settings.divisor,
        )
        self._release = weakref.finalize(self, self._library.soc_destroy, self._handle)
        self._release.atexit = False  # what Verilator shares may be gone by then
        self.memory = self._bytes(self._library.soc_memory, memory_bytes)
        self._local = self._bytes(self._library.soc_local, settings.local_bytes)

    def _bytes(self, function: Callable[[int], int], size: int) -> NDArray[np.uint8]:
        pointer = ctypes.cast(function(self._handle), ctypes.POINTER(ctypes.c_uint8))
        return np.ctypeslib.as_array(pointer, (size,))

    def write_local(self, address: int, content: bytes) -> None:
        """Put something into the CPU's own memory."""
        self._local[address : address + len(content)] = np.frombuffer(content, np.uint8)

    def write(self, address: int, content: bytes) -> None:
        """Put something into main memory."""
        if address + len(content) > len(self.memory):
            raise ValueError(
                f"main memory of {len(self.memory)} bytes has no room for {len(content)} at "
                f"{address:#x}"
            )
        self.memory[address : address + len(content)] = np.frombuffer(content, np.uint8)

    @property
    def cycle(self) -> int:
        """Cycles since the reset began."""
        return self._library.soc_cycle(self._handle)

    @property
    def accesses(self) -> int:
        """Words of main memory that were read or written so far."""
        return self._library.soc_accesses(self._handle)

    @property
    def text(self) -> str:
        """What has come over the serial line."""
        text = self._library.soc_text(self._handle)
        if text is None:
            raise RuntimeError("the serial line carried something that is no character")
        return text.decode("utf-8", "replace").rstrip(END)

    def run(self, cycles: int, show: Callable[[str], None] | None = None) -> str:
        """Run until the program has nothing more to say, and return what it said.

        Parameters
        ----------
        cycles : int
            The most that it may take.
        show : callable
            Is given the text piece by piece, as it comes.

        Raises
        ------
        TimeoutError
            If that is not enough; with what was said.
        """
        shown, left = 0, cycles
        while left > 0:
            ended = self._library.soc_run(self._handle, min(left, STEP))
            left -= STEP
            text = self.text
            if show:
                show(text[shown:])
            shown = len(text)
            if ended:
                return text
        raise TimeoutError(f"the program has not ended after {cycles} cycles; it said: {text}")


@functools.cache
def _library(config: Config, settings: Settings, report: Callable[[str], None]) -> ctypes.CDLL:
    """Return the system as a library, made once."""
    verilog = component_verilog(Soc(config, settings), name="soc")
    verilog += cpu_named(settings.cpu).verilog()
    arguments = ["-O3", *verilator.SAFE]
    flags = [*verilator.OPTIMIZE, *verilator.definitions(waves=False)]
    name = verilator.digest(
        verilator.version(), verilog, PUBLIC, SOURCE.read_bytes(), *arguments, *flags
    )
    directory = verilator.cache_directory() / "soc" / name
    path = directory / "soc.so"
    if not path.exists():
        report("compiling the system with Verilator (about a minute, and once only)")
        objects = verilator.runtime_objects(["verilated.cpp", "verilated_threads.cpp"])
        with verilator.staged(directory) as stage, tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "soc.v"
            source.write_text(verilog)
            public = Path(scratch) / "public.vlt"
            public.write_text(PUBLIC)
            objects += verilator.compile_design(
                source, SOURCE, top="soc", prefix="Vsoc", arguments=[*arguments, str(public)],
                flags=flags,
            )  # fmt: skip
            verilator.link(objects, stage / path.name, ["-shared"])
    library = ctypes.CDLL(str(path))
    u32, u64, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    for function, result, *taken in (
        ("create", pointer, u64, u32, u32, u32, u32, u32), ("destroy", None, pointer),
        ("memory", pointer, pointer), ("local", pointer, pointer), ("cycle", u64, pointer),
        ("accesses", u64, pointer), ("text", ctypes.c_char_p, pointer),
        ("run", ctypes.c_int, pointer, u64),
    ):  # fmt: skip
        entry = getattr(library, f"soc_{function}")
        entry.restype, entry.argtypes = result, taken
    return library
