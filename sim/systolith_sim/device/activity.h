// What the units of a core did: how often each event came, in equal bins of time and while each
// instruction was the array's.

#pragma once

#include <array>
#include <cstdint>
#include <vector>

class Activity {
public:
    static constexpr unsigned EVENTS = 32;
    // A row: first cycle, program address, and the count of each bit of the events.
    using Row = std::array<uint64_t, 2 + EVENTS>;

    explicit Activity(uint64_t bin_cycles) : bin_cycles_(bin_cycles) {}

    // A cycle in which a program runs.
    void cycle(uint32_t events, uint32_t address) {
        if (cycles_ % bin_cycles_ == 0) bins.push_back({cycles_, address});
        if (steps.empty() || steps.back()[1] != address) steps.push_back({cycles_, address});
        Row &bin = bins.back(), &step = steps.back();
        for (; events; events &= events - 1) {
            const unsigned place = 2 + __builtin_ctz(events);
            ++bin[place];
            ++step[place];
        }
        ++cycles_;
    }
    uint64_t cycles() const { return cycles_; }

    std::vector<Row> bins, steps;

private:
    uint64_t bin_cycles_, cycles_ = 0;
};
