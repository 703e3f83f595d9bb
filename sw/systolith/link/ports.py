"""Serial ports of this computer."""

import contextlib
import errno
import os
import typing
from collections.abc import Iterator
from pathlib import Path

from systolith_hw.config import ConfigError
from systolith_sim.device.device import DeviceError

if typing.TYPE_CHECKING:
    import serial

__all__ = ["SIMULATED", "WRITE_SECONDS", "SerialPort", "is_port", "port_names", "split_port"]

SIMULATED = "sim:"
"""What names of simulated boards begin with."""

LOOK_SECONDS = 0.01
"""How often somebody who waits for bytes looks whether the time is over."""

WRITE_SECONDS = 5.0
"""After which a port that takes nothing is given up, if nobody says otherwise."""


def _pyserial() -> typing.Any:
    try:
        import serial
        import serial.tools.list_ports
    except ModuleNotFoundError:
        raise DeviceError(
            "boards behind a serial port need the package pyserial; install it with: "
            "pip install 'systolith[serial]'"
        ) from None
    return serial


def is_port(name: str) -> bool:
    """Return whether a device's name is that of a serial port: a path, COM and a number, or that of
    a simulated board, which gets one."""
    windows = name.upper().startswith("COM") and name[3:4].isdigit()
    return name.startswith(SIMULATED) or "/" in name or windows


def split_port(name: str) -> tuple[str, int | None]:
    """Return the port and the rate of ``PORT`` or ``PORT@BAUD``.

    Raises
    ------
    ConfigError
        If the rate is none.
    """
    port, at, rate = name.partition("@")
    if at and (not rate.isdigit() or not int(rate)):
        raise ConfigError(f"the rate of a port must be a number of baud, not {rate!r} as in {name}")
    return port, int(rate) if at else None


def port_names() -> list[str]:
    """Return the serial ports that there are."""
    return sorted(port.device for port in _pyserial().tools.list_ports.comports())


class SerialPort:
    """A serial port, opened for this program alone.

    Parameters
    ----------
    name : str
        Such as ``/dev/ttyUSB0``.
    baud : int
    patience : float
        Seconds after which it is given up if it takes nothing.

    Raises
    ------
    DeviceError
        In a sentence, if it cannot be opened; from the methods, if it has gone.
    """

    def __init__(self, name: str, baud: int, patience: float = WRITE_SECONDS) -> None:
        self.name = name
        self._patience = patience
        library = _pyserial()
        try:
            self._port: serial.Serial = library.Serial(
                name, baud, timeout=LOOK_SECONDS, write_timeout=patience, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise DeviceError(_reason(name, baud, error)) from None
        # Not all converters have it; without, each answer may take 16 ms longer.
        with contextlib.suppress(OSError, ValueError, NotImplementedError, AttributeError):
            self._port.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        """Send."""
        with self._gone():
            self._port.write(data)

    def read(self, seconds: float) -> bytes:
        """Return what has come; wait for up to ``seconds`` if that is nothing."""
        with self._gone():
            for _ in range(1 + int(seconds / LOOK_SECONDS)):
                if first := self._port.read(1):
                    return first + self._port.read(self._port.in_waiting)
        return b""

    def set_baud(self, baud: int) -> None:
        """Change the rate, and forget what has come."""
        with self._gone():
            try:
                self._port.baudrate = baud
            except ValueError:
                raise DeviceError(f"{self.name} cannot be set to {baud} baud") from None
            self._port.reset_input_buffer()

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._port.close()

    @contextlib.contextmanager
    def _gone(self) -> Iterator[None]:
        """Turn errors of the system into a sentence."""
        termios_error: type[Exception] = OSError
        with contextlib.suppress(ModuleNotFoundError):  # Windows
            import termios

            termios_error = termios.error
        try:
            yield
        except (OSError, termios_error) as error:
            if "timeout" in type(error).__name__.lower():
                raise DeviceError(
                    f"{self.name} has taken nothing for {self._patience:g} s: the board is "
                    "unplugged, or its converter hangs"
                ) from None
            raise DeviceError(
                f"{self.name} has gone ({error}): the board was unplugged, or another program "
                "reads from the port"
            ) from None


def _reason(name: str, baud: int, error: Exception) -> str:
    """Say why a port cannot be opened."""
    number = getattr(error, "errno", None)
    if number is None and error.__context__ is not None and error.__context__.args:
        number = error.__context__.args[0]  # of termios, which pyserial tells as text
    if number == errno.ENOENT:
        return f"there is no serial port {name}; `systolith devices` lists those with a board"
    if number in (errno.EACCES, errno.EPERM):
        group = _group(name)
        return (
            f"you have no permission to use {name}: it belongs to the group {group}; join that "
            f"(sudo usermod -aG {group} $USER) and log in again, or add a udev rule with "
            'SUBSYSTEM=="tty", TAG+="uaccess"'
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"{name} is used by another program; close that first"
    if number in (errno.ENOTTY, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.EISDIR):
        return f"{name} is no serial port"
    return f"{name} cannot be opened at {baud} baud: {error}"


def _group(name: str) -> str:
    """Return the group that may use a port."""
    try:
        import grp

        return grp.getgrgid(os.stat(name).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        return "uucp" if Path("/etc/arch-release").exists() else "dialout"
