// The host's side of the core's AXI4-Lite port: one register access at a time.

#pragma once

#include <cstdint>

#include "checks.h"
#include "pins.h"

class AxiLiteHost {
public:
    AxiLiteHost(uint32_t stall, uint64_t seed) : chance_(stall, seed) {}

    void begin_read(uint32_t offset);
    void begin_write(uint32_t offset, uint32_t value);
    bool busy() const { return state_ != State::idle; }
    uint8_t response() const { return response_; }
    uint32_t value() const { return value_; }

    void clock(const CoreOutputs& core, CoreInputs& inputs, Violation& violation);
    void reset(CoreInputs& inputs);

private:
    enum class State { idle, read, write };
    struct Answer {
        uint32_t value;
        uint32_t response;
    };

    void take_answers(const CoreOutputs& core, const CoreInputs& inputs, Violation& violation);

    static constexpr uint32_t kPatience = 10000;

    Chance chance_;
    Held<Answer> held_r_{"register R"}, held_b_{"register B"};
    State state_ = State::idle;
    bool address_sent_ = false, data_sent_ = false;
    uint32_t offset_ = 0, value_ = 0, waited_ = 0;
    uint8_t response_ = 0;
};
