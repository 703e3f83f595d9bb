"""Run yosys and nextpnr: from PyPI by default, or whatever the environment names."""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from systolith_sim.verilator import ToolError, cache_directory, digest

__all__ = ["alone", "not_installed", "run_tool"]

SECONDS = 1.0
"""Between two looks at the log of a tool that is watched."""

SILENT_SECONDS = 1800
"""Without a word after which such a tool is given up: nextpnr may look for places for ever, too."""


def not_installed(package: str) -> ToolError:
    """Return what there is to say where a package of the tools is missing."""
    return ToolError(
        f"{package} is not installed; install it with: pip install 'systolith[fpga]'"
    )


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let nobody else work in a folder; tell ``waiting`` if somebody does, and wait for it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_tool(
    name: str, arguments: list[str], *, folder: Path, log: str, own_log: str = "",
    watch: Callable[[str], str] | None = None,
) -> str:  # fmt: skip
    """Run one tool in ``folder`` and return what it printed, which ``log`` there keeps too.

    ``own_log`` is a file that the tool was told to write itself. Yosys compiled to WebAssembly
    prints nothing any more once ABC has run, not even errors, but goes on writing that file.

    ``watch`` is given what the tool has printed, again and again: the sentence that it returns, if
    any, is the error with which the tool is stopped. So is it after :data:`SILENT_SECONDS`.

    The tool is the command in the variable named after it (``NEXTPNR_ECP5`` for nextpnr-ecp5),
    as for Amaranth's builds, else its YoWASP package. Give it relative paths only: YoWASP sees
    a /tmp of its own.

    Raises
    ------
    ToolError
        If the tool is not installed, its exit status is not zero, or ``watch`` says so.
    """
    command = [*_find(name), *arguments]
    with (folder / log).open("w+") as sink:
        status = _wait(
            subprocess.Popen(command, cwd=folder, stdout=sink, stderr=subprocess.STDOUT),
            folder / log, watch,
        )  # fmt: skip
        sink.seek(0)
        text = sink.read()
    own = folder / own_log
    if own.is_file():
        text, log = own.read_text(), own_log
    if status:
        errors = [line for line in text.splitlines() if "ERROR: " in line]
        last = (errors or text.strip().splitlines() or ["nothing was printed"])[-1]
        raise ToolError(f"{name} failed: {last} (see {folder / log})")
    return text


def _wait(
    process: subprocess.Popen[bytes], log: Path, watch: Callable[[str], str] | None
) -> int:
    """Return the tool's exit status; it does not outlive this call."""
    said, spoke = 0, time.monotonic()
    try:
        while watch is not None:
            try:
                return process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                text = log.read_text(errors="replace")
                trouble = watch(text)
                if len(text) > said:
                    said, spoke = len(text), time.monotonic()
                elif time.monotonic() - spoke > SILENT_SECONDS:
                    trouble = _silence(text)
                if trouble:
                    raise ToolError(f"{trouble} (see {log})") from None
        return process.wait()
    finally:
        process.kill()
        process.wait()


def _silence(text: str) -> str:
    """Return what is wrong with a tool that no longer says anything."""
    last = (text.strip().splitlines() or ["nothing at all"])[-1].removeprefix("Info: ").strip()
    return (f"nothing came for {SILENT_SECONDS // 60} minutes behind: {last}; "
            "try another seed, or a smaller design")  # fmt: skip


def _find(name: str) -> list[str]:
    """Return the command of a tool, looking first where this Python's scripts are."""
    chosen = os.environ.get(name.upper().replace("-", "_"))
    if chosen:
        return shlex.split(chosen)
    packaged = f"yowasp-{name}"
    path = shutil.which(packaged, path=str(Path(sys.executable).parent)) or shutil.which(packaged)
    if path is None:
        raise not_installed(packaged)
    _translate_once(path)
    return [path]


def _translate_once(path: str) -> None:
    """Let YoWASP translate a tool before its first run, one process at a time: what it keeps of
    that it writes over the file that others may just be running."""
    folder = cache_directory() / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    installed = str(Path(path).stat().st_mtime_ns)
    done = folder / digest(path, installed, os.environ.get("YOWASP_CACHE_DIR", ""))
    if done.exists():
        return
    with alone(folder):
        if not done.exists():
            subprocess.run([path, "--version"], capture_output=True, check=False)
            done.touch()
