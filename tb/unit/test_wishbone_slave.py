"""WishboneSlave between a host of any habits and registers of any latency."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect

from systolith_hw.bus.wishbone_slave import WishboneSlave
from systolith_hw.control.block import ControlBlock
from systolith_hw.presets import preset
from systolith_hw.registers import IDENTITY, OFFSETS

from .axi_model import simulate
from .test_axi_lite import MAPPED, Registers


async def access(ctx, bus, address, value=None, sel=15):
    """Return ack, err and what is read of one classic access, and the cycles that it took."""
    for name, level in (("cyc", 1), ("stb", 1), ("we", value is not None), ("adr", address // 4),
                        ("dat_w", value or 0), ("sel", sel)):  # fmt: skip
        ctx.set(getattr(bus, name), level)
    for cycles in range(1, 200):
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


async def give_up(ctx, bus, patience, address, value=None):
    """Begin an access, and take it back after ``patience`` cycles, or with its answer."""
    for name, level in (("cyc", 1), ("stb", 1), ("we", value is not None), ("adr", address // 4),
                        ("dat_w", value or 0), ("sel", 15)):  # fmt: skip
        ctx.set(getattr(bus, name), level)
    answered = 0
    for _ in range(patience):
        *_, answered = await ctx.tick().sample(bus.ack | bus.err)
        if answered:
            break
    ctx.set(bus.stb, 0)
    ctx.set(bus.cyc, 0)
    return answered


@pytest.mark.parametrize("gap", [1, 2, 9])
@pytest.mark.parametrize("latency", [0, 6, 68])
def test_master_gives_up(latency, gap):
    """Whoever comes after one that gave up, however soon, gets the answer to what he asked."""
    rng = random.Random(latency)
    dut = WishboneSlave()
    registers = Registers(dut.port, rng, latency)
    gone = MAPPED + 4

    async def host(ctx):
        kept: dict[int, int] = {}
        for patience in [*range(1, 12), *(rng.randrange(1, 80) for _ in range(20))]:
            address, value = rng.choice([0, 4, gone]), rng.choice([None, rng.getrandbits(32)])
            answered = await give_up(ctx, dut.bus, patience, address, value)
            late = 0
            for cycle in range(gap):
                *_, ack = await ctx.tick().sample(dut.bus.ack | dut.bus.err)
                assert not ack or (cycle == 0 and not answered)  # it came as the master left
                late |= ack
            if value is not None and address != gone and (answered or late):
                assert registers.words[address] == value
            value = rng.getrandbits(32)
            assert (await access(ctx, dut.bus, 8, value))[:2] == (1, 0)
            kept[8] = value
            assert registers.words[8] == value
            await give_up(ctx, dut.bus, patience, 4)
            await ctx.tick().repeat(gap)
            assert (await access(ctx, dut.bus, 8))[:3] == (1, 0, value)
            await give_up(ctx, dut.bus, patience, gone)
            await ctx.tick().repeat(gap)
            assert (await access(ctx, dut.bus, 8))[:3] == (1, 0, value)

    simulate(dut, host, background=(registers.decode, registers.serve))


def test_master_gives_up_before_the_counter_bank():
    """The same with the registers of a core, whose bank answers when its scan comes by."""
    m = Module()
    m.submodules.slave = slave = WishboneSlave()
    m.submodules.control = control = ControlBlock(preset("tiny"))
    connect(m, slave.port, control.port)
    length, identity, enable = OFFSETS["LENGTH"], OFFSETS["ID"], OFFSETS["IRQ_ENABLE"]

    async def host(ctx):
        assert (await access(ctx, slave.bus, length, 0x1234))[0]
        for patience in range(1, 90):
            await give_up(ctx, slave.bus, patience, length)
            await ctx.tick()
            assert (await access(ctx, slave.bus, identity))[:3] == (1, 0, IDENTITY)
            await give_up(ctx, slave.bus, patience, length)
            await ctx.tick()
            assert (await access(ctx, slave.bus, enable, patience % 4))[:2] == (1, 0)
            assert (await access(ctx, slave.bus, enable))[:3] == (1, 0, patience % 4)
            await give_up(ctx, slave.bus, patience, length, 0x1000 + patience)
            await ctx.tick()
            *_, found, _ = await access(ctx, slave.bus, length)
            assert found == (0x1000 + patience if patience >= 2 else 0x1234)
            assert (await access(ctx, slave.bus, length, 0x1234))[0]

    simulate(m, host, deadline=60_000)
