"""Which registers have no reset: only what waits for one that has."""

import re

import pytest
from amaranth.hdl import Fragment

from systolith_hw.bus.kinds import BUSES
from systolith_hw.presets import preset
from systolith_hw.top import Systolith

DECIDES = re.compile(r"fsm_state|(^|_)(valid|ready|full|level|room|running|busy|idle|active)(_|$)")
"""Names of what decides in any unit."""

DATA = {
    # A register beside the one that says whether it counts.
    "room",  # of fetch: known for a burst that is looked at, and computed a cycle before
    "stride_room",  # of the array's tokens: a number
    "valid",  # of row tokens: how many keys of a row are valid, a number
}


def registers(fragment, path=()):
    """Yield place and signal of every register below ``fragment``."""
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            for statement in statements:
                for signal in statement._lhs_signals():
                    yield ".".join(path), signal
    for part, name, _ in fragment.subfragments:
        yield from registers(part, (*path, name or "?"))


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_what_decides_has_a_reset(name, bus):
    top = Fragment.get(Systolith(preset(name), bus=bus), platform=None)
    found = list(registers(top))
    less = {(path, signal.name) for path, signal in found if signal.reset_less}
    assert len(found) > 300 and len(less) > 50, "the walk has found registers of both kinds"
    suspects = {(path, one) for path, one in less if DECIDES.search(one) and one not in DATA}
    assert not suspects
