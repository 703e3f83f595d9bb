"""Parts of a system around a core: a CPU, memory, a UART and the bus that joins them."""
