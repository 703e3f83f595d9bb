"""Write a package: all of it, or nothing."""

import json
import sysconfig
import tempfile
from pathlib import Path

from systolith_hw.config import Config, ConfigError

from .c_header import c_header
from .description import CoreDescription, undefined_modules
from .fusesoc import fusesoc_core
from .ip_xact import ip_xact
from .litex_module import litex_module
from .readme import readme
from .register_map import system_rdl
from .register_page import register_page
from .verilog_wrapper import WRAPPER, verilog_wrapper

__all__ = ["check_folder", "package_files", "shared_files", "write_package"]


def package_files(config: Config, *, preset: str, bus: str, target: str) -> dict[str, str]:
    """Return the texts of all files of a package, by their names."""
    from systolith_hw.bus.wishbone_turns import TURN_BEATS
    from systolith_hw.emit import emit, version
    from systolith_hw.ports import ports, ports_markdown

    emitted = emit(config, target, bus)
    core = CoreDescription(
        config=config, preset=preset, bus=bus, target=target, version=version(),
        ports=tuple(ports(config, bus)), vendor_cells=undefined_modules(emitted.verilog),
    )  # fmt: skip
    driver, licence = shared_files()
    files = {
        "systolith.v": emitted.verilog,
        f"{WRAPPER}.v": verilog_wrapper(core),
        "ports.md": ports_markdown(config, bus),
        "registers.html": register_page(core),
        "registers.rdl": system_rdl(core),
        "systolith.core": fusesoc_core(core),
        **({} if bus == "native" else {"systolith_litex.py": litex_module(core)}),
        "systolith.xml": ip_xact(core),
        "LICENSE": licence.read_text(),
        "manifest.json": json.dumps(emitted.manifest, indent=2) + "\n",
        "c/systolith.h": (driver / "systolith.h").read_text(),
        "c/systolith.c": (driver / "systolith.c").read_text(),
        "c/systolith_core.h": c_header(core),
    }
    return {"README.md": readme(core, files, TURN_BEATS), **files}


def check_folder(name: str, *, force: bool) -> Path:
    """Return where a package is to be written.

    Raises
    ------
    ConfigError
        The name is empty or cannot be a folder's, or there is something that may not be replaced.
    """
    if not name.strip():
        raise ConfigError("--package must name a folder, and is empty")
    folder = Path(name)
    if folder.name == "..":
        folder = folder.resolve()  # nobody can rename it under that name
    try:
        there = folder.exists() or folder.is_symlink()
    except OSError as error:
        raise ConfigError(f"--package {name} cannot be a folder: {error.strerror}") from error
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise ConfigError(f"--package {name} cannot be made: {nearest} is no folder")
    if there:
        if not force:
            raise ConfigError(f"--package {name} exists already; --force replaces a package")
        if not _is_package(folder):
            raise ConfigError(
                f"--package {name} is no package of this command, and --force replaces only those"
            )
        if Path.cwd().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--package {name} is the folder that you are in, or around it; replace it from "
                "outside"
            )
    return folder


def write_package(files: dict[str, str], folder: Path) -> None:
    """Write ``files`` beside ``folder``, then give them its name: nobody sees half of them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
        stage, old = Path(work) / "new", Path(work) / "old"
        for name, text in files.items():
            file = stage / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        if folder.exists():
            folder.rename(old)
        try:
            stage.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def _is_package(folder: Path) -> bool:
    """Return whether a folder is empty, or has been written by :func:`write_package`."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return manifest["name"] == "systolith" and (folder / "systolith.core").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def shared_files() -> tuple[Path, Path]:
    """Return the driver in C and the licence: in this tree, or where they have been installed."""
    tree = Path(__file__).resolve().parents[3]
    if (tree / "sw" / "c").is_dir():
        return tree / "sw" / "c", tree / "LICENSE"
    share = Path(sysconfig.get_path("data")) / "share" / "systolith"
    return share / "c", share / "LICENSE"
