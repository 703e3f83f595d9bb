"""The fields of a checkpoint's configuration, each asked for by name and checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import CheckpointError

__all__ = ["CheckpointSettings"]


class CheckpointSettings:
    """Configuration of a checkpoint; whatever is wrong with a field is said with its name.

    Parameters
    ----------
    where : str
        What error messages call the configuration.
    values : mapping
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self._where = where
        self._values = values

    @classmethod
    def parse(cls, where: str, text: str) -> "CheckpointSettings":
        """Read an object of JSON."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise CheckpointError(f"{where} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise CheckpointError(
                f"{where} must be an object of fields, not {type(values).__name__}"
            )
        return cls(where, values)

    @classmethod
    def load(cls, path: Path) -> "CheckpointSettings":
        """Read a file of JSON."""
        if not path.is_file():
            raise CheckpointError(f"there is no {path}; a checkpoint needs its configuration")
        return cls.parse(path.name, path.read_text(encoding="utf-8", errors="replace"))

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field as it is; a null is as good as none."""
        value = self._values.get(field)
        return default if value is None else value

    def count(self, field: str, default: int | None = None) -> int:
        """Return an integer of at least 1."""
        value = self._need(field, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self._refuse(field, value, "it must be an integer of at least 1")
        return value

    def number(self, field: str, default: float | None = None) -> float:
        """Return a number above 0."""
        value = self._need(field, default)
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            self._refuse(field, value, "it must be a number above 0")
        return float(value)

    def tokens(self, field: str, vocabulary: int) -> tuple[int, ...]:
        """Return the token of a field, or its list of tokens, or none."""
        value = self.get(field, [])
        tokens = value if isinstance(value, list) else [value]
        for token in tokens:
            if not isinstance(token, int) or token not in range(vocabulary):
                self._refuse(field, token, f"it must be a token, 0 to {vocabulary - 1}")
        return tuple(tokens)

    def only(self, field: str, *wanted: Any, default: Any = None) -> None:
        """Refuse a field that has another value than those that can be run."""
        value = self.get(field, default)
        if value not in wanted:
            known = " or ".join(json.dumps(one) for one in wanted)
            self._refuse(field, value, f"only {known} can be run")

    def _need(self, field: str, default: Any) -> Any:
        value = self.get(field, default)
        if value is None:
            raise CheckpointError(f"{self._where} has no field {field}")
        return value

    def _refuse(self, field: str, value: Any, why: str) -> None:
        raise CheckpointError(f"{self._where}: {field} is {json.dumps(value, default=str)}; {why}")
