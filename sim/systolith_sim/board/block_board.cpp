// A verilated board without a memory chip: core, block memory and host link in one clock, and a serial
// line.

#include <verilated.h>

#include "Vboard.h"
#include "serial_line.h"

namespace {

constexpr int RESET_CYCLES = 32;

struct Board {
    explicit Board(const SerialSettings& settings) : line(settings) {
        top.rx = 1;
        top.rst = 1;
        top.eval();
        for (int i = 0; i < RESET_CYCLES; ++i) clock();
        top.rst = 0;
    }
    ~Board() {
        // A scope leaves the context that this thread used last, which may be gone.
        Verilated::threadContextp(&context);
        top.final();
    }

    void clock() {
        const bool rx = line.clock(top.tx);
        top.clk = 1;
        top.eval();
        top.rx = rx;
        top.clk = 0;
        top.eval();
        ++cycle;
    }

    VerilatedContext context;
    Vboard top{&context};
    SerialLine line;
    uint64_t cycle = 0;
};

}  // namespace

extern "C" {

Board* board_create(const SerialSettings* settings) { return new Board(*settings); }
void board_destroy(Board* board) { delete board; }
SerialLine* board_line(Board* board) { return &board->line; }
void board_run(Board* board, uint64_t cycles) {
    while (cycles--) board->clock();
}
uint64_t board_cycle(const Board* board) { return board->cycle; }

}  // extern "C"
