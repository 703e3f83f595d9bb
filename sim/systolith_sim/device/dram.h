// Timing of an external memory behind one port that reads and writes share.
//
//   reads  ──► queue (ready `latency` cycles after they were accepted) ──┐
//                                                                       ├──► one word per cycle
//   writes ──► queue (ready once all their data has arrived) ────────────┘
//
// A word of a row that is not open costs `row_cycles` cycles first; in the last `refresh_cycles`
// cycles of each `refresh_period` nothing moves and no row opens. The latency of waiting reads
// overlaps, so a stream of bursts moves one word per cycle less rows and refresh.
//
// Order: reads among each other and writes among each other are served as they came. The port
// stays in its direction while that has a ready burst, but turns, between bursts, when one of the
// other direction has been ready for `patience` cycles of that; so neither starves, and rows are
// not reopened for every burst.
// A read whose data nobody takes lets a ready write pass.

#pragma once

#include <cstdint>
#include <deque>
#include <vector>

struct DramTiming {
    uint32_t word_bytes;  // moved per cycle; a beat is one or more words
    uint32_t latency;     // cycles from a read request to its first beat
    uint32_t row_beats;   // words of a row
    uint32_t row_cycles;
    uint32_t refresh_period;  // 0: no refresh
    uint32_t refresh_cycles;
    uint32_t banks;  // rows that are open at the same time; row n is in bank n % banks
    uint32_t queue;  // bursts waiting in each direction
    uint32_t patience;
};

struct DramStatistics {
    uint64_t read_bursts, write_bursts;
    uint64_t read_beats, write_beats;
    uint64_t row_misses;
    uint64_t refresh_cycles;
};

class Dram {
public:
    enum class Direction { none, read, write };

    struct Burst {
        uint64_t ready;  // first cycle in which it may move
        uint64_t address;
        uint32_t beats;
        uint32_t id;
    };

    // The beat that moved in a cycle.
    struct Beat {
        Direction direction;
        Burst burst;
        uint32_t index;

        bool last() const { return index + 1 == burst.beats; }
    };

    Dram(const DramTiming& timing, uint32_t beat_bytes);

    bool read_room() const { return reads_.waiting.size() < timing_.queue; }
    bool write_room() const { return writes_.waiting.size() < timing_.queue; }
    // A request accepted in the cycle before `now`, and a burst whose last data came then.
    void read(uint64_t now, uint64_t address, uint32_t beats, uint32_t id);
    void write(uint64_t now, uint64_t address, uint32_t beats, uint32_t id);

    // What moves in cycle `now`, to be called for one cycle after the other. `taken` is false
    // when there is no room for a beat that is read.
    Beat step(uint64_t now, bool taken);

    // Forget everything under way; statistics stay.
    void reset();

    const DramStatistics& statistics() const { return statistics_; }

private:
    struct Queue {
        std::deque<Burst> waiting;
        uint32_t words = 0;  // of the first burst, that have moved

        bool ready(uint64_t now) const {
            return !waiting.empty() && waiting.front().ready <= now;
        }
    };

    Direction choose(uint64_t now, bool taken) const;
    bool open_row(uint64_t address);

    const DramTiming timing_;
    const uint32_t words_per_beat_;
    const uint64_t row_bytes_;
    Queue reads_, writes_;
    Direction direction_ = Direction::none;
    uint64_t turned_ = 0;  // when the port took that direction
    bool inside_burst_ = false;
    uint32_t opening_ = 0;  // cycles until the row is open
    std::vector<uint64_t> open_;
    DramStatistics statistics_ = {};
};
