// An SPI flash chip at the level of its pins: Fast Read (0Bh) in mode 0. It checks what it is asked
// and when, and keeps the first rule that is broken.
#pragma once

#include <cstdint>
#include <vector>

#include "../device/checks.h"

struct SpiFlashSettings {
    double period;      // nanoseconds of the clock of whoever reads it
    double valid;       // from a falling edge at the reader to data there: the way and the chip
    double clock;       // least period of the chip's clock
    double select;      // least time from select to a rising edge
    double deselect;    // least time between two selects
    uint32_t bytes;
    uint32_t seed;
};

class SpiFlash {
public:
    explicit SpiFlash(const SpiFlashSettings& settings);

    // A rising edge of the reader's clock: look at what its registers drive before it, and return
    // what it takes.
    bool clock(bool cs_n, bool clk, bool copi);

    std::vector<uint8_t>& contents() { return contents_; }
    const Violation& violation() const { return violation_; }
    uint64_t cycle() const { return violation_.cycle; }
    uint64_t reads() const { return reads_; }
    uint64_t bytes_read() const { return bits_read_ / 8; }

private:
    void selects(bool clk);
    void deselects(bool clk);
    void rises(bool copi);
    void falls();
    bool noise();

    const SpiFlashSettings settings_;
    std::vector<uint8_t> contents_;
    Violation violation_;
    double now_ = 0, selected_ = -1e9, deselected_ = -1e9, rose_ = -1e9, fell_ = -1e9;
    bool cs_n_ = true, clk_ = false, out_ = false, driven_ = false;
    uint32_t bits_ = 0;  // since select, at most those before data
    uint32_t asked_ = 0;
    uint64_t next_ = 0;  // bit of the contents
    uint64_t reads_ = 0, bits_read_ = 0;
    uint32_t noise_;
};
