"""A block memory as external memory, in Amaranth's simulator."""

import pytest

from systolith_fpga.memory.block_memory import BlockMemory, BlockRam
from systolith_hw.config import ConfigError

from .block_memory_bench import bench_config, bursts_of_all
from .dma_bench import make_config


def test_five_clients(seed):
    bursts_of_all(bench_config(), seed=seed, p=0.6, bursts=12)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("size, width, says", [
    (1000, 2, "must be a power of two that bus.address_bits can address, not 1000"),
    (1 << 17, 2, "must be a power of two that bus.address_bits can address, not 131072"),
    (1024, 4, "bus.data_bytes must be 4 on this board, not 2"),
])  # fmt: skip
def test_refusals(size, width, says):
    with pytest.raises(ConfigError, match=says):
        BlockMemory(make_config(data_bytes=2), BlockRam(bytes=size, data_bytes=width))
