"""The program of a CPU, from C, with Debian's compiler."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from systolith.package.folder import shared_files
from systolith_sim.verilator import ToolError, cache_directory, digest, staged

from ..soc.cpu import Cpu

__all__ = ["PARTS", "compile_firmware", "missing"]

PARTS = Path(__file__).parent / "c"
"""C that programs have in common."""

COMPILER = "riscv64-unknown-elf-gcc"
OBJCOPY = "riscv64-unknown-elf-objcopy"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
"""Of all C here."""

COMMON = ("start.S", "interrupt.c", "text.c", "story.c")
STACK_BYTES = 1024


def missing() -> str:
    """Return what is not installed, in a sentence, or nothing."""
    if shutil.which(COMPILER) and shutil.which(OBJCOPY):
        return ""
    return (
        f"{COMPILER} is not installed; it is in Debian's package gcc-riscv64-unknown-elf: "
        "apt install gcc-riscv64-unknown-elf"
    )


def compile_firmware(
    cpu: type[Cpu], sources: Sequence[Path], *, top: int, places: Mapping[str, int],
    declarations: str = "", optimize: str = "-O2",
) -> bytes:  # fmt: skip
    """Return what the CPU's memory is to hold from address 0 on.

    Parameters
    ----------
    cpu : type of Cpu
    sources : sequence of Path
        Beside those of :data:`PARTS` and the driver; headers may stand beside the first.
    top : int
        Bytes of that memory that program and stack may take.
    places : dict
        Addresses by name: ``MAP_UART`` and so on, in the program's ``map.h``.
    declarations : str
        More for ``map.h``.
    optimize : str
        Options of GCC's, apart by spaces.

    Raises
    ------
    ToolError
        If the compiler is missing or refuses; it knows no warning that is let pass.
    """
    if missing():
        raise ToolError(missing())
    driver, _ = shared_files()
    header = "".join(f"#define MAP_{name.upper()} {at:#x}u\n" for name, at in places.items())
    header += declarations
    script = PARTS / "link.ld"
    everything = [*(PARTS / name for name in COMMON), *sources, driver / "systolith.c"]
    folders = dict.fromkeys([PARTS, driver, *(source.parent for source in sources)])
    command = [
        COMPILER, f"-march={cpu.march}", f"-DCPU_IRQ_MASK={cpu.irq_mask:#x}", "-mabi=ilp32",
        *WARNINGS, *optimize.split(), "-ffreestanding", "-fno-builtin", "-nostdlib", "-I.",
        *(f"-I{folder}" for folder in folders), f"-T{script}", f"-Wl,--defsym=job={top}",
        f"-Wl,--defsym=STACK_BYTES={STACK_BYTES}", "-Wl,--no-warn-rwx-segments",
        *map(str, everything), "-lgcc",
    ]  # fmt: skip
    headers = [path for folder in folders for path in sorted(folder.glob("*.h"))]
    version = _run([COMPILER, "--version"], PARTS)
    texts = (path.read_bytes() for path in [*everything, *headers, script])
    directory = cache_directory() / "firmware" / digest(version, header, *command, *texts)
    if not directory.exists():
        with staged(directory) as stage:
            (stage / "map.h").write_text(header)
            _run([*command, "-o", "program.elf"], stage)
            _run([OBJCOPY, "-O", "binary", "program.elf", "program.bin"], stage)
    return (directory / "program.bin").read_bytes()


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout
