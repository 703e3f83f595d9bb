// Everything around a core: memory, register access, and the rules of the bus. One call of
// `clock` is one rising edge; the core may be anything that has pins.

#pragma once

#include <cstdint>

#include "axi_lite_host.h"
#include "axi_memory.h"
#include "checks.h"
#include "pins.h"

struct HostSettings {
    uint64_t memory_bytes;
    uint64_t seed;
    uint32_t beat_bytes;
    uint32_t stall;  // probability of a pause per channel and cycle, in units of 2**-16
    DramTiming timing;
};

class Host {
public:
    explicit Host(const HostSettings& settings);

    // Drive reset for `cycles` rising edges from now on.
    void reset(uint32_t cycles);
    void clock(const CoreOutputs& core);

    const CoreInputs& inputs() const { return inputs_; }
    const Violation& violation() const { return violation_; }
    uint64_t cycle() const { return cycle_; }

    AxiMemory memory;
    AxiLiteHost registers;

private:
    CoreInputs inputs_ = {};
    Violation violation_;
    uint64_t cycle_ = 0;
    uint32_t reset_ = 0, reset_edges_ = 0;
};
