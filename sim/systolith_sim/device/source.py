"""The Verilog of a configuration, generated once and kept."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from systolith_hw.config import Config

from ..verilator import cache_directory, digest, staged

__all__ = ["core_verilog"]


def core_verilog(
    config: Config, *, bus: str = "axi4", report: Callable[[str], None] = print
) -> str:
    """Return what :func:`systolith_hw.emit.emit` makes of ``config`` with a bus.

    It is kept by a hash of the configuration and of all sources of the generator, so that
    a core that has been used before needs neither Amaranth nor the seconds that it takes.
    """
    directory = cache_directory() / "verilog" / digest(
        json.dumps(config.to_dict(), sort_keys=True), bus, *_generator()
    )  # fmt: skip
    file = directory / "systolith.v"
    if not file.exists():
        report("generating the Verilog of the core")
        # Here and not above: simulators must be importable without Amaranth.
        from systolith_hw.emit import emit

        with staged(directory) as stage:
            (stage / file.name).write_text(emit(config, bus=bus).verilog)
    return file.read_text()


def _generator() -> list[bytes]:
    """Return the sources and the version of all that takes part in emission."""
    spec = importlib.util.find_spec("systolith_hw")
    assert spec is not None and spec.origin is not None
    sources = sorted(Path(spec.origin).parent.rglob("*.py"))
    return [importlib.metadata.version("amaranth").encode(), *(p.read_bytes() for p in sources)]
