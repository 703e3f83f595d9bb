"""WishboneSlave between a host of any habits and registers of any latency."""

import random

import pytest

from systolith_hw.bus.wishbone_slave import WishboneSlave

from .axi_model import simulate
from .test_axi_lite import MAPPED, Registers


async def access(ctx, bus, address, value=None, sel=15):
    """Return ack, err and what is read of one classic access, and the cycles that it took."""
    for name, level in (("cyc", 1), ("stb", 1), ("we", value is not None), ("adr", address // 4),
                        ("dat_w", value or 0), ("sel", sel)):  # fmt: skip
        ctx.set(getattr(bus, name), level)
    for cycles in range(1, 100):
        _, _, ack, err, data = await ctx.tick().sample(bus.ack, bus.err, bus.dat_r)
        if ack or err:
            ctx.set(bus.stb, 0)
            ctx.set(bus.cyc, 0)
            return ack, err, data, cycles
    raise AssertionError("no answer")


@pytest.mark.parametrize("latency", [0, 5])
def test_accesses(latency):
    """Every access is answered once, and only whole writes of known registers reach them."""
    rng = random.Random(latency)
    dut = WishboneSlave()
    registers = Registers(dut.port, rng, latency)
    answers = []

    async def host(ctx):
        kept: dict[int, int] = {}
        for _ in range(200):
            address = rng.randrange(0, 2 * MAPPED, 4)
            value = rng.choice([None, rng.getrandbits(32)])
            sel = rng.choice([15, 15, 15, rng.randrange(16)])
            ack, err, data, cycles = await access(ctx, dut.bus, address, value, sel)
            known = address < MAPPED
            fine = known and (value is None or sel == 15)
            assert (ack, err) == (fine, not fine)
            assert cycles <= 4 + latency + 1
            if value is None:
                assert data == kept.get(address, 0)
            elif fine:
                kept[address] = value
            for _ in range(rng.randrange(3)):
                await ctx.tick()
        assert registers.words == kept

    async def count(ctx):
        while True:
            answers.append((await ctx.tick().sample(dut.bus.ack | dut.bus.err))[-1])

    simulate(dut, host, background=(registers.decode, registers.serve, count))
    assert sum(answers) == 200


def test_master_gives_up():
    """No answer comes to a later access that was meant for one that was taken back."""
    rng = random.Random(1)
    dut = WishboneSlave()
    registers = Registers(dut.port, rng, 6)

    async def host(ctx):
        for patience in range(1, 12):
            ctx.set(dut.bus.adr, 1)
            ctx.set(dut.bus.we, 0)
            ctx.set(dut.bus.cyc, 1)
            ctx.set(dut.bus.stb, 1)
            for _ in range(patience):
                *_, ack = await ctx.tick().sample(dut.bus.ack)
                if ack:
                    break
            ctx.set(dut.bus.stb, 0)
            ctx.set(dut.bus.cyc, 0)
            for _ in range(10):
                *_, stb, ack = await ctx.tick().sample(dut.bus.stb, dut.bus.ack)
                assert stb or not ack
            assert (await access(ctx, dut.bus, 8, patience))[:2] == (1, 0)
            assert registers.words[8] == patience

    simulate(dut, host, background=(registers.decode, registers.serve))
