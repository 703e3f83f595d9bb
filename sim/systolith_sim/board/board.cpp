// A verilated board: core, memory controller and host link, with its two clocks, the flops of its pads,
// an SDRAM chip and a serial line.

#include <verilated.h>

#include "Vboard.h"
#include "sdram_chip.h"
#include "serial_line.h"
#ifdef BOARD_FLASH
#include "spi_flash.h"
#endif

struct BoardSettings {
    SdramSettings chip;
    SerialSettings line;
    double core_period, memory_period;  // any unit
#ifdef BOARD_FLASH
    SpiFlashSettings flash;
#endif
};

namespace {

constexpr int RESET_CYCLES = 32;

struct Board {
    explicit Board(const BoardSettings& settings)
        : chip(settings.chip), line(settings.line),
#ifdef BOARD_FLASH
          flash(settings.flash),
#endif
          core_period(settings.core_period), half(settings.memory_period / 2) {
        top.rx = 1;
        top.rst = 1;
        top.sdram_rst = 1;
        top.eval();
        for (int i = 0; i < RESET_CYCLES; ++i) clock();
        top.rst = 0;
        top.sdram_rst = 0;
    }
    ~Board() {
        // A scope leaves the context that this thread used last, which may be gone.
        Verilated::threadContextp(&context);
        top.final();
    }

    bool broken() const {
#ifdef BOARD_FLASH
        if (flash.violation()) return true;
#endif
        return bool(chip.violation());
    }
    void memory_rises();
    void memory_falls();
    void clock();

    VerilatedContext context;
    Vboard top{&context};
    SdramChip chip;
    SerialLine line;
#ifdef BOARD_FLASH
    SpiFlash flash;
#endif
    SdramPins pads = {};
    uint16_t arrived = 0;
    const double core_period, half;
    double next_core = 0, next_memory = 0;
    bool high = false;  // the memory's clock
    uint64_t cycle = 0;
};

// Flops of the pads take what the controller drives, and what the chip has sent.
void Board::memory_rises() {
    const SdramPins driven = {
        top.memory_a, top.memory_dq_o, top.memory_cke, top.memory_cs_n, top.memory_ras_n,
        top.memory_cas_n, top.memory_we_n, top.memory_ba, top.memory_dqm, top.memory_dq_oe,
    };
    top.sdram_clk = 1;
    top.eval();
    pads = driven;
    top.memory_dq_i = arrived;
}

// The chip's clock is the controller's inverted.
void Board::memory_falls() {
    top.sdram_clk = 0;
    arrived = chip.clock(pads);
    top.eval();
}

// One cycle of the core, and all of the memory's edges before its rising one.
void Board::clock() {
    while (next_memory < next_core) {
        high = !high;
        if (high) memory_rises();
        else memory_falls();
        next_memory += half;
    }
    const bool rx = line.clock(top.tx);
#ifdef BOARD_FLASH
    top.flash_cipo = flash.clock(top.flash_cs_n, top.flash_clk, top.flash_copi);
    top.eval();
#endif
    top.clk = 1;
    top.eval();
    top.rx = rx;
    top.clk = 0;
    if (next_memory >= next_core + core_period) top.eval();  // else the memory's next edge does
    next_core += core_period;
    ++cycle;
}

}  // namespace

extern "C" {

Board* board_create(const BoardSettings* settings) { return new Board(*settings); }
void board_destroy(Board* board) { delete board; }
SerialLine* board_line(Board* board) { return &board->line; }
void board_run(Board* board, uint64_t cycles) {
    while (cycles-- && !board->broken()) board->clock();
}
uint8_t* board_memory(Board* board) { return board->chip.contents(); }
uint64_t board_memory_bytes(const Board* board) { return board->chip.size(); }
uint64_t board_cycle(const Board* board) { return board->cycle; }
const char* board_violation(const Board* board) { return board->chip.violation().text(); }
#ifdef BOARD_FLASH
uint8_t* board_flash(Board* board) { return board->flash.contents().data(); }
const char* board_flash_violation(const Board* board) { return board->flash.violation().text(); }
uint64_t board_flash_bytes_read(const Board* board) { return board->flash.bytes_read(); }
#endif

}  // extern "C"
