// An SDR SDRAM chip at its pins: what it stores, and every rule of its datasheet.
//
// One call of `clock` is one rising edge of the chip's clock, which is the falling edge of the
// controller's. The first broken rule is kept, with the edge in which it was seen. Times are
// compared in nanoseconds, not in the cycles that a controller makes of them.

#pragma once

#include <cstdint>
#include <vector>

#include "../device/checks.h"

// What the datasheet says; see systolith_fpga.memory.sdram_chips.SdramChip. Times in nanoseconds.
struct SdramSettings {
    double period;
    double rcd, rp, ras, ras_max, rc, rfc, rrd, wr, mrd;
    double access, hold, release;
    double power_up;
    double refresh;     // in which one refresh becomes due
    double round_trip;  // controller's clock to the chip, and data back to its input flop
    uint32_t row_bits, column_bits, bank_bits;
    uint32_t cas;
    uint32_t initial_refreshes;
    uint32_t postponed;  // refreshes that may be due
};

struct SdramPins {
    uint16_t address, data;
    uint8_t cke, cs_n, ras_n, cas_n, we_n;
    uint8_t bank, mask, drives;  // drives: the controller's output enable
};

struct SdramStatistics {
    uint64_t reads, writes, activates, precharges, refreshes;
};

class SdramChip {
public:
    explicit SdramChip(const SdramSettings& settings);

    // Pass one rising edge; return what the controller's input flop takes half a cycle later.
    uint16_t clock(const SdramPins& pins);

    uint8_t* contents() { return contents_.data(); }
    uint64_t size() const { return contents_.size(); }
    uint64_t cycle() const { return cycle_; }
    const Violation& violation() const { return violation_; }
    const SdramStatistics& statistics() const { return statistics_; }

private:
    static constexpr double kNever = -1e18;
    static constexpr int kSlots = 16;  // of output words, by the edge at which they are valid

    struct Bank {
        bool open = false;
        uint32_t row = 0;
        double activated = kNever, precharged = kNever, written = kNever;
    };
    struct Word {
        uint64_t edge = 0;
        uint16_t data = 0;
        uint8_t driven = 0;  // bytes
    };

    void command(const SdramPins& pins);
    void activate(const SdramPins& pins);
    void column(const SdramPins& pins, bool write);
    void precharge(Bank& bank, const char* name);
    void refresh();
    void set_mode(const SdramPins& pins);
    void contention(const SdramPins& pins);
    void deadline();
    uint16_t sampled();
    void since(double then, double least, const char* rule, const char* name);
    void all_closed(const char* name);
    uint16_t noise();

    const SdramSettings settings_;
    std::vector<uint8_t> contents_;
    std::vector<Bank> banks_;
    Word words_[kSlots] = {};
    Violation violation_;
    SdramStatistics statistics_ = {};
    uint64_t cycle_ = 0;
    double now_ = 0;
    double activated_ = kNever, refreshed_ = kNever, set_ = kNever;
    double due_ = 0;
    uint32_t initial_ = 0;  // refreshes before the first mode register
    bool precharged_ = false, ready_ = false;
    uint8_t mask_ = 0;  // of the edge before
    uint32_t noise_ = 1;
};
