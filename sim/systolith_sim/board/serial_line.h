// The host's end of a serial line at the level of its pins: 8 bits, no parity, one stop bit, with
// the delay of a converter behind USB and with bytes that are lost, doubled, changed or swapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

struct SerialSettings {
    double bit_cycles;        // cycles of a bit, any fraction
    uint64_t delay_cycles;    // from the host's write to the line, and from the line to its read
    uint64_t seed;
    double fault;             // probability of a fault, for each byte and direction
    uint32_t packet_bytes;    // to the host bytes go in packets of so many at most,
    uint64_t packet_cycles;   // or of those that came in so many cycles; 0 for each byte at once
};

class SerialLine {
public:
    explicit SerialLine(const SerialSettings& settings);

    // One cycle: look at what the board sends and return the level that it gets.
    bool clock(bool tx) {
        ++cycle_;
        if (receiving_ || !tx) receive(tx);
        if (sending_ || !to_board_.empty()) send();
        return level_;
    }

    void write(const uint8_t* bytes, size_t count);
    size_t read(uint8_t* bytes, size_t room);
    size_t waiting() const { return to_board_.size() + sending_; }
    bool quiet() const { 
        return !sending_ && to_board_.empty() && !receiving_ && to_host_.empty() && packet_.empty();
    }
    uint64_t cycle() const { return cycle_; }
    uint64_t faults() const { return faults_; }
    uint64_t broken() const { return broken_; }  // stop bits of the board that were none
    // Cycles of the first start bit and behind the last stop bit, to the board and from it.
    uint64_t first(bool from_board) const { return first_[from_board]; }
    uint64_t last(bool from_board) const { return last_[from_board]; }
    void forget_times();

private:
    struct Delayed {
        uint64_t due;
        uint8_t byte;
    };
    void send();
    void receive(bool tx);
    void spoil(std::deque<Delayed>& queue, uint8_t byte, uint64_t due);
    void pack();
    uint64_t random();
    bool chance();

    SerialSettings settings_;
    uint64_t cycle_ = 0, faults_ = 0, broken_ = 0, state_;
    uint64_t first_[2] = {}, last_[2] = {};
    std::deque<Delayed> to_board_, to_host_;
    std::vector<uint8_t> packet_;
    uint64_t packet_began_ = 0;
    bool level_ = true, sending_ = false, receiving_ = false;
    uint32_t out_ = 0, in_ = 0;
    int out_bit_ = 0, in_bit_ = 0;
    double out_edge_ = 0, in_sample_ = 0;
};
