"""The program of the CPU: what is in ``firmware``, and parts of ``systolith_fpga.firmware``."""

from pathlib import Path

from system import MAP
from systolith_fpga.firmware.compiler import compile_firmware, missing
from systolith_fpga.firmware.job import JOB_BYTES, Job
from systolith_fpga.soc.cpu import Cpu

__all__ = ["JOB_BYTES", "Job", "build", "missing"]

HERE = Path(__file__).parent / "firmware"
PROGRAM = ("main.c", "run.c", "layer.c")


def build(cpu: type[Cpu], local_bytes: int, optimize: str = "-O2") -> bytes:
    """Return what the CPU's memory is to hold: all but the job, which is in its last bytes.

    Parameters
    ----------
    cpu : type of Cpu
    local_bytes : int
        Size of that memory.
    optimize : str
        Options of GCC's, apart by spaces.

    Raises
    ------
    ToolError
        If the compiler is missing or refuses; it knows no warning that is let pass.
    """
    return compile_firmware(
        cpu, [HERE / name for name in PROGRAM], top=local_bytes - JOB_BYTES, places=MAP,
        declarations="extern const unsigned char job[];\n#define MAP_JOB job\n",
        optimize=optimize,
    )  # fmt: skip
