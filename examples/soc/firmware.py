"""The program of the CPU, from C, with Debian's compiler."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np

from system import MAP
from systolith_fpga.soc.cpu import Cpu
from systolith_sim.verilator import ToolError, cache_directory, digest, staged

__all__ = ["JOB_BYTES", "Job", "build", "missing"]

HERE = Path(__file__).parent / "firmware"
DRIVER = Path(__file__).parents[2] / "sw" / "c"
COMPILER = "riscv64-unknown-elf-gcc"
OBJCOPY = "riscv64-unknown-elf-objcopy"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
"""Of all C here."""

PROGRAM = ("start.S", "main.c", "interrupt.c", "run.c", "text.c", "story.c", "layer.c")
JOB_BYTES = 512
STACK_BYTES = 1024

MOST_IMAGES, MOST_PROMPT = 4, 64


def missing() -> str:
    """Return what is not installed, in a sentence, or nothing."""
    if shutil.which(COMPILER) and shutil.which(OBJCOPY):
        return ""
    return (
        f"{COMPILER} is not installed; it is in Debian's package gcc-riscv64-unknown-elf: "
        "apt install gcc-riscv64-unknown-elf"
    )


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
    if missing():
        raise ToolError(missing())
    places = "".join(f"#define MAP_{name.upper()} {at:#x}u\n" for name, at in MAP.items())
    places += "extern const unsigned char job[];\n#define MAP_JOB job\n"
    sources = [*(HERE / name for name in PROGRAM), DRIVER / "systolith.c"]
    script = HERE / "link.ld"
    job = local_bytes - JOB_BYTES
    command = [
        COMPILER, f"-march={cpu.march}", f"-DCPU_IRQ_MASK={cpu.irq_mask:#x}", "-mabi=ilp32",
        *WARNINGS, *optimize.split(), "-ffreestanding", "-fno-builtin", "-nostdlib", "-I.",
        f"-I{HERE}", f"-I{DRIVER}", f"-T{script}", f"-Wl,--defsym=job={job}",
        f"-Wl,--defsym=STACK_BYTES={STACK_BYTES}", "-Wl,--no-warn-rwx-segments",
        *map(str, sources), "-lgcc",
    ]  # fmt: skip
    headers = [HERE / "soc.h", DRIVER / "systolith.h", script]
    version = _run([COMPILER, "--version"], HERE)
    name = digest(version, places, *command, *(path.read_bytes() for path in [*sources, *headers]))
    directory = cache_directory() / "firmware" / name
    if not directory.exists():
        with staged(directory) as stage:
            (stage / "map.h").write_text(places)
            _run([*command, "-o", "program.elf"], stage)
            _run([OBJCOPY, "-O", "binary", "program.elf", "program.bin"], stage)
    return (directory / "program.bin").read_bytes()


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the program is to do: ``struct job`` of ``soc.h``, where each field is told of.

    Addresses are bytes from the begin of main memory.
    """

    kind: int
    core_bytes: int
    images: Sequence[tuple[int, int]]
    polls: int = 1 << 30
    length: int = 0
    measured: int = 0
    counters: int = 0
    loop_tokens: int = 0
    loop_channels: int = 0
    loop_inputs: int = 0
    activations: int = 0
    weights: int = 0
    make: int = 0
    prompt: Sequence[int] = field(default_factory=tuple)
    texts: int = 0

    STORY, LAYER = 1, 2

    def to_bytes(self) -> bytes:
        """Return it as the CPU has it in memory.

        Raises
        ------
        ValueError
            If there are more images or words of a prompt than it has room for.
        """
        if len(self.images) > MOST_IMAGES:
            raise ValueError(f"images must be at most {MOST_IMAGES}, not {len(self.images)}")
        if len(self.prompt) > MOST_PROMPT:
            raise ValueError(f"a prompt has at most {MOST_PROMPT} tokens, not {len(self.prompt)}")
        kind, core_bytes, images, *rest, prompt, texts = astuple(self)
        pieces = [*images, *[(0, 0)] * (MOST_IMAGES - len(images))]
        words = [*prompt, *[0] * (MOST_PROMPT - len(prompt))]
        flat = [kind, core_bytes, len(images), *sum(pieces, ()), *rest, len(prompt), *words, texts]
        return np.array(flat, "<u4").tobytes()
