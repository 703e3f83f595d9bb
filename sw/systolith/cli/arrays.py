"""Arrays that commands read and write: .npz files, which are never unpickled."""

import typing
from pathlib import Path

import typer

from systolith_hw.config import ConfigError

if typing.TYPE_CHECKING:
    import numpy as np

__all__ = ["Inputs", "InputsPath", "read_inputs", "require_folder"]

Inputs = dict[str, "np.ndarray"]

InputsPath = typing.Annotated[
    Path,
    typer.Option("--inputs", help="An .npz file with an array for each of the model's inputs, by "
                 "name.", dir_okay=False),
]  # fmt: skip


def read_inputs(path: Path) -> Inputs:
    """Return the arrays of a file.

    Raises
    ------
    ConfigError
        If it is no .npz file of numbers.
    OSError
        If there is no file.
    """
    import numpy as np

    with path.open("rb") as content:
        try:
            file = np.load(content, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is one array without a name")
            arrays = {name: file[name] for name in file.files}
            for name, value in arrays.items():
                if not isinstance(value, np.ndarray):
                    raise ValueError(f"its member {name} is no array")
            return arrays
        except Exception as error:  # of damaged files zipfile and numpy raise many kinds
            reason = error
    raise ConfigError(
        f"--inputs {path} is no .npz file of numbers ({reason}); write one with "
        "numpy.savez(path, NAME=array, ...)"
    ) from reason


def require_folder(option: str, path: Path | None) -> None:
    """Refuse a file to be written for which there is no folder.

    Raises
    ------
    ConfigError
    """
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
