"""The program of a standalone board's CPU."""

import json
from pathlib import Path

from ..firmware.compiler import compile_firmware
from ..soc.cpu import cpu_named
from .host import CPU, MAP, HostSettings

__all__ = ["SOURCES", "standalone_program"]

SOURCES = Path(__file__).parent / "c"


def standalone_program(settings: HostSettings, *, memory_bytes: int, greeting: str) -> bytes:
    """Return what the CPU's memory holds at the start.

    Parameters
    ----------
    settings : HostSettings
    memory_bytes : int
        Of main memory.
    greeting : str
        What the board says first, ASCII.

    Raises
    ------
    ToolError
        If the compiler is missing.
    """
    values = {"FLASH_CHIP_BYTES": settings.flash.bytes, "FLASH_IMAGE": settings.image_offset,
              "MEMORY_BYTES": memory_bytes}  # fmt: skip
    defined = "".join(f"#define {name} {value:#x}u\n" for name, value in values.items())
    return compile_firmware(
        cpu_named(CPU), [SOURCES / "standalone.c", SOURCES / "boot.c"], top=settings.local_bytes,
        places=MAP, declarations=defined + f"#define GREETING {json.dumps(greeting)}\n",
        optimize="-Os",
    )  # fmt: skip
