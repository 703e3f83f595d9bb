#include "dram.h"

#include <algorithm>

Dram::Dram(const DramTiming& timing, uint32_t beat_bytes)
    : timing_(timing),
      words_per_beat_(beat_bytes / timing.word_bytes),
      row_bytes_(uint64_t(timing.row_beats) * timing.word_bytes),
      open_(timing.banks, ~uint64_t(0)) {}

void Dram::reset() {
    reads_ = writes_ = {};
    direction_ = Direction::none;
    inside_burst_ = false;
    opening_ = 0;
    open_.assign(timing_.banks, ~uint64_t(0));
}

void Dram::read(uint64_t now, uint64_t address, uint32_t beats, uint32_t id) {
    // Accepted in cycle now - 1, the first beat moves `latency` cycles later at the earliest.
    reads_.waiting.push_back({now - 1 + timing_.latency, address, beats, id});
    ++statistics_.read_bursts;
}

void Dram::write(uint64_t now, uint64_t address, uint32_t beats, uint32_t id) {
    writes_.waiting.push_back({now, address, beats, id});
    ++statistics_.write_bursts;
}

Dram::Direction Dram::choose(uint64_t now, bool taken) const {
    const bool read = taken && reads_.ready(now);
    const bool write = writes_.ready(now);
    if (inside_burst_ && (direction_ == Direction::write || read)) return direction_;
    if (!read || !write) {
        return read ? Direction::read : write ? Direction::write : Direction::none;
    }
    const bool reading = direction_ != Direction::write;
    const Queue& other = reading ? writes_ : reads_;
    const uint64_t since = std::max(other.waiting.front().ready, turned_);
    const bool change = now - since >= timing_.patience;
    return reading != change ? Direction::read : Direction::write;
}

// Return whether the row of `address` is open; otherwise begin to open it.
bool Dram::open_row(uint64_t address) {
    const uint64_t row = address / row_bytes_;
    uint64_t& open = open_[row % timing_.banks];
    if (open != row) {
        open = row;
        opening_ = timing_.row_cycles;
        ++statistics_.row_misses;
    }
    return opening_ == 0;
}

Dram::Beat Dram::step(uint64_t now, bool taken) {
    Beat beat = {Direction::none, {}, 0};
    const uint32_t period = timing_.refresh_period;
    if (period && now % period >= period - timing_.refresh_cycles) {
        ++statistics_.refresh_cycles;
        return beat;
    }
    if (opening_) {
        --opening_;
        return beat;
    }
    const Direction chosen = choose(now, taken);
    if (chosen == Direction::none) return beat;
    if (chosen != direction_) turned_ = now;
    direction_ = chosen;

    Queue& queue = chosen == Direction::read ? reads_ : writes_;
    const Burst& burst = queue.waiting.front();
    inside_burst_ = true;
    if (!open_row(burst.address + uint64_t(queue.words) * timing_.word_bytes)) {
        --opening_;
        return beat;
    }
    if (++queue.words % words_per_beat_) return beat;

    beat = {chosen, burst, queue.words / words_per_beat_ - 1};
    ++(chosen == Direction::read ? statistics_.read_beats : statistics_.write_beats);
    if (beat.last()) {
        queue.waiting.pop_front();
        queue.words = 0;
        inside_burst_ = false;
    }
    return beat;
}
