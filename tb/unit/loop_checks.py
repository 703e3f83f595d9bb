"""What the tests of both loops of the vector unit share."""

from amaranth.sim import Simulator

PRESENT = 16
"""What a semaphore's number is written with in an instruction."""


def check_beat(beat, wanted):
    """Compare a beat with what it should be."""
    got = {name: int(beat[name]) for name in wanted if name not in ("inner", "outer")}
    for name in ("inner", "outer"):
        post = beat[f"post_{name}"]
        got[name] = (post.id + PRESENT) * post.present
    assert got == {name: int(value) for name, value in wanted.items()}


def check_halt(dut, fields):
    """See a halted loop begin with no instruction, and go on later."""

    async def bench(ctx):
        ctx.set(dut.instruction.payload, fields)
        ctx.set(dut.instruction.valid, 1)
        ctx.set(dut.halt, 1)
        for _ in range(10):
            await ctx.tick()
            assert ctx.get(dut.idle) and not ctx.get(dut.instruction.ready)
        ctx.set(dut.halt, 0)
        assert ctx.get(dut.instruction.ready)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
