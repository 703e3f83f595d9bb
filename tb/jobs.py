"""A piece of work for a core, written to files by the compiler's side and read by a bench."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Job", "Region", "Run"]

FILE = "job.json"


class Region:
    """Bytes at an address of external memory; ``data`` may be any array, or bytes."""

    def __init__(self, address: int, data: ArrayLike | bytes) -> None:
        self.address = address
        array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data)
        self.data: NDArray[np.uint8] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)


@dataclass(kw_only=True)
class Run:
    """One start of a program: what it is given and what memory must hold when it is done.

    ``program`` is the address of a program to change to, or -1 to stay with the one before. Memory
    refuses the bytes ``refused``; ``error`` is what ERROR must be then.
    """

    program: int = -1
    length: int = 0
    position: int = 0
    before: list[Region] = field(default_factory=list)
    after: list[Region] = field(default_factory=list)
    refused: range = range(0)
    error: int = 0


@dataclass(kw_only=True)
class Job:
    """A program and its runs.

    Parameters
    ----------
    program_address : int
        Where the first program is, among ``memory``.
    memory : list of Region
        What external memory holds at first; zero elsewhere.
    runs : list of Run
        One after the other.
    cycles : int
        Most that a run may take, with memory that pauses a lot.
    """

    program_address: int
    memory: list[Region]
    runs: list[Run]
    cycles: int = 100_000

    @property
    def memory_bytes(self) -> int:
        """Memory that covers everything, a power of two."""
        later = (region for run in self.runs for region in run.before + run.after)
        end = max(region.address + len(region.data) for region in [*self.memory, *later])
        return 1 << max(16, (end - 1).bit_length())

    def save(self, directory: Path) -> Path:
        """Write the job into ``directory`` as JSON and .npy files; return the JSON file."""
        directory.mkdir(parents=True, exist_ok=True)
        number = 0

        def keep(regions: list[Region]) -> list[dict[str, Any]]:
            nonlocal number
            kept = []
            for region in regions:
                name = f"region{number}.npy"
                np.save(directory / name, region.data)
                kept.append({"address": region.address, "file": name})
                number += 1
            return kept

        tree = {
            "program_address": self.program_address,
            "cycles": self.cycles,
            "memory": keep(self.memory),
            "runs": [
                {"program": run.program, "length": run.length, "position": run.position,
                 "refused": [run.refused.start, run.refused.stop], "error": run.error,
                 "before": keep(run.before), "after": keep(run.after)}
                for run in self.runs
            ],
        }  # fmt: skip
        (directory / FILE).write_text(json.dumps(tree, indent=2))
        return directory / FILE

    @classmethod
    def load(cls, file: Path) -> "Job":
        """Read what :meth:`save` wrote."""

        def regions(items: list[dict[str, Any]]) -> list[Region]:
            return [Region(item["address"], np.load(file.parent / item["file"])) for item in items]

        tree = json.loads(file.read_text())
        runs = [
            Run(program=run["program"], length=run["length"], position=run["position"],
                before=regions(run["before"]), after=regions(run["after"]),
                refused=range(*run["refused"]), error=run["error"])
            for run in tree["runs"]
        ]  # fmt: skip
        return cls(program_address=tree["program_address"], cycles=tree["cycles"],
                   memory=regions(tree["memory"]), runs=runs)  # fmt: skip
