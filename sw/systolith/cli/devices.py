"""``systolith devices``: the boards behind this computer's serial ports."""

import typing

import typer

from .console import print_json, say
from .options import Json

__all__ = ["devices"]


def devices(
    ports: typing.Annotated[
        list[str] | None,
        typer.Argument(metavar="[PORT]...", help="Ports to ask, each PORT or PORT@BAUD; all that "
                       "the system knows if none is given."),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """List the boards that answer, and what core each has.

    Asking sends a few bytes to every serial port, which whatever else is behind one will get, too.
    """
    from ..link.ports import port_names, split_port
    from ..link.serial_device import identify

    names = ports or port_names()
    found, others = [], {}
    from systolith_sim.device.device import DeviceError

    for name in names:
        port, baud = split_port(name)
        try:
            identity = identify(port, baud=baud)
        except DeviceError as error:
            others[name] = str(error)
        else:
            found.append({"port": name, **_describe(identity._asdict())})
    if json:
        print_json({"devices": found, "others": others})
        return
    if found:
        _print(found)
    for reason in others.values():
        say(reason)
    if not names:
        say("there is no serial port; plug a board in")


def _describe(identity: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Return an identity as people write it, with the preset that it is of, if that is one."""
    from ..link.known_cores import known_cores

    known = known_cores().get(identity["config_hash"])
    return {
        **identity, "config_hash": f"{identity['config_hash']:#010x}",
        "preset": known and known.preset, "options": known and known.options,
    }  # fmt: skip


def _print(found: list[dict[str, typing.Any]]) -> None:
    """Print a line for each board."""
    width = max(len(row["port"]) for row in found)
    for row in found:
        preset = f"preset {row['preset']}" if row["preset"] else "a core of its own"
        print(
            f"{row['port']:{width}}  {row['board']}: {preset} ({row['config_hash']}), "
            f"{row['memory_bytes'] / (1 << 20):g} MiB, {row['clock_hz'] / 1e6:g} MHz, "
            f"{row['baud']:,} baud, gateware {row['gateware']}"
        )
