// A verilated LinkBridge between a serial line and plain memory and registers.
//
// Compiled with DATA_BYTES, 1 to 4, and ADDRESS_BITS of the bridge's memory ports.

#include <verilated.h>

#include <vector>

#include "Vbridge.h"
#include "serial_line.h"

namespace {

constexpr uint32_t REGISTERS = 64;
constexpr uint32_t LATENCY = 6;  // cycles from a request to its first beat or response
constexpr uint64_t ADDRESS = (uint64_t(1) << ADDRESS_BITS) - 1;

// What the bridge gets behind the next edge.
struct Inputs {
    bool load_ready, load_valid, store_ready, beat_ready, response, register_error, register_valid;
    uint64_t load_data;
    uint32_t register_data;
};

struct Burst {
    uint64_t address = 0;
    uint32_t beats = 0, wait = 0;

    void begin(uint64_t request) {
        address = request & ADDRESS;
        beats = uint32_t(request >> ADDRESS_BITS) + 1;
        wait = LATENCY;
    }
    void pass() {
        address += DATA_BYTES;
        --beats;
    }
};

struct LinkBoard {
    LinkBoard(const SerialSettings& settings, uint32_t memory_bytes)
        : line(settings), memory(memory_bytes), registers(REGISTERS) {
        bridge.rst = 1;
        bridge.rx = 1;
        bridge.tx = 1;
        for (int i = 0; i < 4; ++i) clock();
        bridge.rst = 0;
    }
    ~LinkBoard() {
        // A scope leaves the context that this thread used last, which may be gone.
        Verilated::threadContextp(&context);
        bridge.final();
    }

    void load();
    void store();
    void access();
    void drive();
    void clock();

    VerilatedContext context;
    Vbridge bridge{&context};
    SerialLine line;
    std::vector<uint8_t> memory;
    std::vector<uint32_t> registers;
    uint64_t accesses = 0;
    bool irq = false, responding = false;
    Burst reads, writes;
    Inputs next = {};
};

void LinkBoard::load() {
    if (bridge.load_data_valid && bridge.load_data_ready) reads.pass();
    if (bridge.load_request_valid && bridge.load_request_ready)
        reads.begin(bridge.load_request_payload);
    if (reads.wait) --reads.wait;
    next.load_ready = !reads.beats;
    next.load_valid = reads.beats && !reads.wait;
    next.load_data = 0;
    for (int lane = 0; next.load_valid && lane < DATA_BYTES; ++lane)
        next.load_data |= uint64_t(memory[reads.address + lane]) << 8 * lane;
}

void LinkBoard::store() {
    if (bridge.store_data_valid && bridge.store_data_ready) {
        const uint64_t beat = bridge.store_data_payload;
        for (int lane = 0; lane < DATA_BYTES; ++lane)
            if (beat >> (8 * DATA_BYTES + lane) & 1)
                memory[writes.address + lane] = uint8_t(beat >> 8 * lane);
        writes.pass();
        responding = !writes.beats;
    }
    if (bridge.store_request_valid && bridge.store_request_ready)
        writes.begin(bridge.store_request_payload);
    if (writes.wait) --writes.wait;
    next.response = responding && !writes.wait;
    responding &= !next.response;
    next.store_ready = !writes.beats && !responding && !next.response;
    next.beat_ready = writes.beats;
}

void LinkBoard::access() {
    const uint32_t address = bridge.registers_address;
    next.register_error = address / 4 >= REGISTERS || address % 4;
    next.register_valid = bridge.registers_read || bridge.registers_write;
    if (!next.register_valid) return;
    ++accesses;
    if (bridge.registers_write) registers[address / 4] = bridge.registers_write_data;
    else next.register_data = registers[address / 4];
}

void LinkBoard::drive() {
    bridge.load_request_ready = next.load_ready;
    bridge.load_data_valid = next.load_valid;
    bridge.load_data_payload = next.load_data;
    bridge.store_request_ready = next.store_ready;
    bridge.store_data_ready = next.beat_ready;
    bridge.store_response_valid = next.response;
    bridge.registers_error = next.register_error;
    bridge.registers_valid = next.register_valid;
    bridge.registers_read_data = next.register_data;
    bridge.irq = irq;
}

void LinkBoard::clock() {
    load();
    store();
    access();
    const bool rx = line.clock(bridge.tx);
    bridge.clk = 1;
    bridge.eval();
    drive();
    bridge.rx = rx;
    bridge.clk = 0;
    bridge.eval();
}

}  // namespace

extern "C" {

LinkBoard* board_create(const SerialSettings* settings, uint32_t memory_bytes) {
    return new LinkBoard(*settings, memory_bytes);
}
void board_destroy(LinkBoard* board) { delete board; }
SerialLine* board_line(LinkBoard* board) { return &board->line; }
void board_run(LinkBoard* board, uint64_t cycles) {
    while (cycles--) board->clock();
}
uint8_t* board_memory(LinkBoard* board) { return board->memory.data(); }
uint32_t* board_registers(LinkBoard* board) { return board->registers.data(); }
uint64_t board_accesses(const LinkBoard* board) { return board->accesses; }
void board_interrupt(LinkBoard* board, int level) { board->irq = level; }

}  // extern "C"
