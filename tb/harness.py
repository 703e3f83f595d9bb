"""Emit a component as Verilog and run a module of cocotb tests against it."""

import json
import os
import time
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from systolith_hw.config import Config
from systolith_hw.verilog import component_verilog
from systolith_sim import cosimulation

__all__ = ["BUILD", "config_from_env", "run", "run_verilog", "settings_from_env"]

BUILD = Path(__file__).parents[1] / "build" / "tb"


def run(
    dut: wiring.Component,
    config: Config,
    *,
    test_module: str,
    tag: str,
    sim: str,
    seed: int = 1,
    settings: dict[str, Any] | None = None,
) -> None:
    """Run every ``@cocotb.test`` of ``test_module`` on ``dut``; raise if one fails.

    The tests read ``config`` back with :func:`config_from_env`, so that golden model and hardware
    cannot disagree about it.

    Parameters
    ----------
    dut : Component
        What is tested; its module is called "dut".
    config : Config
        What it was made from.
    test_module : str
        Name of the file of the tests, without ".py".
    tag : str
        Tells builds of the same module apart.
    sim : str
        "icarus" or "verilator"; take the fixture ``sim``.
    seed : int
        Of ``random`` in the simulator.
    settings : dict
        More for the tests, for :func:`settings_from_env`.
    """
    verilog = component_verilog(dut, name="dut")
    run_verilog(verilog, config, top="dut", test_module=test_module, tag=tag, sim=sim, seed=seed,
                settings=settings)  # fmt: skip


def run_verilog(
    verilog: str,
    config: Config,
    *,
    top: str,
    test_module: str,
    tag: str,
    sim: str,
    seed: int = 1,
    settings: dict[str, Any] | None = None,
) -> None:
    """Do what :func:`run` does for Verilog that is already there."""
    directory = BUILD / f"{test_module}-{tag}-{sim}"
    start = time.monotonic()
    cosimulation.build(verilog, top, directory, sim)
    built = time.monotonic()
    tests, failed = cosimulation.run(
        test_module, top, directory, sim, seed=seed,
        environment={
            "DUT_CONFIG": json.dumps(config.to_dict()),
            "DUT_SETTINGS": json.dumps(settings or {}),
        },
    )  # fmt: skip
    print(f"{directory.name}: {tests} tests, seed {seed}, built in {built - start:.1f} s, "
          f"run in {time.monotonic() - built:.1f} s")  # fmt: skip
    assert tests > 0, f"{test_module} has no cocotb test"
    assert failed == 0, f"{failed} of {tests} tests failed in {sim}; see the log above"


def config_from_env() -> Config:
    """Rebuild the configuration that :func:`run` was given, inside the simulator."""
    return Config.from_dict(json.loads(os.environ["DUT_CONFIG"]))


def settings_from_env() -> dict[str, Any]:
    """Return the ``settings`` that :func:`run` was given, inside the simulator."""
    return json.loads(os.environ["DUT_SETTINGS"])
