"""Libraries of verilated boards, each compiled once for all that it is made from."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import verilator

__all__ = ["HERE", "board_library"]

HERE = Path(__file__).parent


def board_library(
    kind: str, verilog: str, *, top: str, main: str, parts: Sequence[str],
    headers: Sequence[Path] = (), definitions: Sequence[str] = (), arguments: Sequence[str] = (),
    report: Callable[[str], None] = lambda message: None,
) -> Path:  # fmt: skip
    """Return the library of a design and what drives it in C++.

    Parameters
    ----------
    kind : str
        The folder in the cache.
    verilog : str
        With the module ``top``, whose class is ``V`` and that name.
    main : str
        The C++ that drives the design; it and ``parts``, further sources, are of this folder.
    headers : sequence of Path
        What these include.
    definitions, arguments : sequence of str
        Further flags of the compiler, and of Verilator.
    report : callable
        Told when something is compiled.
    """
    sources = [HERE / name for name in parts]
    texts = [path.read_bytes() for path in (HERE / main, *sources, *headers)]
    flags = [*verilator.OPTIMIZE, *verilator.definitions(False), f"-I{HERE}", *definitions]
    options = ["-O3", *arguments]
    directory = verilator.cache_directory() / kind / verilator.digest(
        verilator.version(), verilog, *flags, *options, *texts
    )  # fmt: skip
    library = directory / "board.so"
    if library.exists():
        return library
    report("compiling the board with Verilator (under a minute, and once only)")
    objects = verilator.runtime_objects(["verilated.cpp", "verilated_threads.cpp"])
    with verilator.staged(directory) as stage, tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        source = work / f"{top}.v"
        source.write_text(verilog)
        objects += verilator.compile_design(
            source, HERE / main, top=top, prefix=f"V{top}", arguments=options, flags=flags
        )
        objects += verilator.compile_objects(sources, work, ["-O3"])
        verilator.link(objects, stage / library.name, ["-shared"])
    return library
