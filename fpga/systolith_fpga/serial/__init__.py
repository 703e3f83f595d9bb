"""Bytes on a serial line: 8 bits, no parity, one stop bit."""
