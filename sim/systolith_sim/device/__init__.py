"""Devices: a core with external memory, that a driver can run programs on."""

from .device import Device, DeviceError, RegisterError
from .host import DramTiming, Pauses
from .verilated import VerilatedDevice

__all__ = ["Device", "DeviceError", "DramTiming", "Pauses", "RegisterError", "VerilatedDevice"]
