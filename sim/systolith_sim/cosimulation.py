"""Build Verilog for Icarus or Verilator and run Python coroutines (cocotb) against it."""

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path

from . import verilator

__all__ = ["LOG", "SIMULATORS", "build", "missing", "run"]

SIMULATORS = ("icarus", "verilator")

STAMP = "built-from"
"""File in a build folder that says what was built there."""

LOG = "log"

RUNTIME = ("verilated.cpp", "verilated_threads.cpp", "verilated_vpi.cpp")
FLAGS = (*verilator.OPTIMIZE, *verilator.definitions(waves=False))


def missing(simulator: str) -> str:
    """Return why ``simulator`` cannot be used here, or an empty string."""
    if importlib.util.find_spec("cocotb") is None:
        return "cocotb is not installed: pip install 'systolith[dev]'"
    if simulator == "icarus":
        if shutil.which("iverilog") is None:
            return "Icarus Verilog is not installed (Debian: apt install iverilog)"
        return ""
    try:
        verilator.executable()
        verilator.compiler()
    except verilator.ToolError as error:
        return str(error)
    return ""


def build(verilog: str, top: str, directory: Path, simulator: str) -> None:
    """Build module ``top`` of ``verilog`` in ``directory``, unless that has been done.

    Verilator is not run through cocotb: only the ports of ``top`` are made visible, and the runtime
    library comes from the cache, which makes building and running several times faster.
    """
    reason = missing(simulator)
    if reason:
        raise verilator.ToolError(reason)
    made_from = verilator.digest(simulator, top, *_tools(simulator), verilog)
    stamp = directory / STAMP
    if stamp.exists() and stamp.read_text() == made_from:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    source = directory / f"{top}.v"
    source.write_text(verilog)
    if simulator == "icarus":
        _build_icarus(source, top, directory)
    else:
        _build_verilator(source, top, directory)
    stamp.write_text(made_from)


def _tools(simulator: str) -> list[str]:
    """Return what a build depends on besides its sources."""
    return [verilator.version(), *FLAGS, *verilator.SAFE] if simulator == "verilator" else []


def _build_icarus(source: Path, top: str, directory: Path) -> None:
    from cocotb_tools.runner import get_runner

    get_runner("icarus").build(
        sources=[source], hdl_toplevel=top, build_dir=directory, always=True,
        timescale=("1ns", "1ps"), log_file=directory / "build.log",
    )  # fmt: skip


def _build_verilator(source: Path, top: str, directory: Path) -> None:
    from cocotb_tools import config

    objects = verilator.runtime_objects(RUNTIME)
    main = config.share_dir / "lib" / "verilator" / "verilator.cpp"
    objects += verilator.compile_design(
        source, main, top=top, prefix="Vtop", flags=FLAGS,
        arguments=["--vpi", "--public-depth", "1", "--timescale", "1ns/1ps", "--no-timing"],
    )  # fmt: skip
    libraries = str(config.libs_dir)
    verilator.link(objects, directory / top, [
        f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lcocotbvpi_verilator",
    ])  # fmt: skip


def run(
    module: str, top: str, directory: Path, simulator: str, *,
    environment: Mapping[str, str], seed: int = 1, work: Path | None = None,
) -> tuple[int, int]:  # fmt: skip
    """Run every test of the cocotb ``module``; return how many there were and how many failed.

    Parameters
    ----------
    module : str
        Importable here, so also there.
    top, directory, simulator
        As for :func:`build`.
    environment : mapping
        Variables that the module reads.
    seed : int
        Of ``random`` in the simulator.
    work : Path
        Folder that it runs in, with its output in ``log`` there; without one it runs in
        ``directory`` and prints.
    """
    from cocotb_tools.runner import get_results, get_runner

    try:
        results = get_runner(simulator).test(
            test_module=module, hdl_toplevel=top, hdl_toplevel_lang="verilog", build_dir=directory,
            test_dir=work or directory, results_xml=str((work or directory) / "results.xml"),
            log_file=work and work / LOG, seed=seed, extra_env=environment,
        )  # fmt: skip
    except SystemExit:
        raise verilator.ToolError(f"{simulator} ended without a verdict on {module}") from None
    return get_results(results)
