"""Choice of simulators: ``pytest --sim icarus``; those not installed are skipped."""

import os
from pathlib import Path

import pytest

# Tests run side by side: threads of numpy's own would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from systolith_sim import cosimulation

# What tests compile is kept, but not among the user's own.
os.environ.setdefault("SYSTOLITH_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sim",
        default=",".join(cosimulation.SIMULATORS),
        help="simulators for tests on Verilog, with commas between (default: all)",
    )
    parser.addoption("--sim-seed", type=int, default=1, help="seed of the benches (default: 1)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has an argument ``sim`` once for each simulator."""
    if "sim" not in metafunc.fixturenames:
        return
    chosen = [name.strip() for name in metafunc.config.getoption("--sim").split(",")]
    unknown = set(chosen) - set(cosimulation.SIMULATORS)
    if unknown:
        raise pytest.UsageError(
            f"--sim knows {', '.join(cosimulation.SIMULATORS)}, not {', '.join(sorted(unknown))}"
        )
    cases = []
    for name in chosen:
        reason = cosimulation.missing(name)
        cases.append(pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=reason)))
    metafunc.parametrize("sim", cases)


@pytest.hookimpl(tryfirst=True)  # before slow ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what a module's ``GATE``, simulators by case, leaves out.

    Each case is tried in some simulator before every change, and by ``make test-slow`` in all.
    """
    for item in items:
        gate = getattr(getattr(item, "module", None), "GATE", None)
        params = getattr(getattr(item, "callspec", None), "params", {})
        if isinstance(gate, dict) and "sim" in params:
            if not any(params["sim"] in gate.get(case, []) for case in params.values()):
                item.add_marker(pytest.mark.slow)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return the seed of the benches."""
    return request.config.getoption("--sim-seed")
