"""Hardware generator: from one config to Verilog. Only hardware modules import Amaranth."""
