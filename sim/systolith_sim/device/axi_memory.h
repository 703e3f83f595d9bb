// An AXI4 memory: contents, the timing of `Dram`, the rules a master must keep, and mischief.
// Bursts are answered in order, but with pauses asked for, reads of different IDs interleave.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "checks.h"
#include "dram.h"
#include "pins.h"

class AxiMemory {
public:
    AxiMemory(uint64_t bytes, uint32_t beat_bytes, const DramTiming& timing, uint32_t stall,
              uint64_t seed);

    // One rising edge: take what the core drives, then decide what it is given in cycle `now`.
    void clock(uint64_t now, const CoreOutputs& core, CoreInputs& inputs, Violation& violation);
    // Forget everything under way, as after reset; contents stay.
    void reset(CoreInputs& inputs);

    uint8_t* contents() { return contents_.get(); }
    const DramStatistics& statistics() const { return dram_.statistics(); }

    // Mischief, until `behave`. Accesses that touch [start, end) are answered SLVERR, and writes change nothing.
    void refuse(uint64_t start, uint64_t end) { refused_.push_back({start, end}); }
    void behave() { refused_.clear(), hang_reads_ = hang_writes_ = false; }
    // From now on requests are accepted but never answered.
    void hang(bool reads, bool writes) { hang_reads_ |= reads, hang_writes_ |= writes; }

private:
    struct Request {
        uint32_t address;
        uint8_t id, len, size, burst;

        uint32_t beats() const { return len + 1u; }
    };
    struct Data {
        uint8_t bytes[kMaxBeatBytes];
        uint8_t strobe[kMaxBeatBytes / 8];
        uint8_t last;
    };
    struct ReadBeat {
        uint8_t id, response, last;
        uint8_t bytes[kMaxBeatBytes];
    };
    struct Reply {
        uint64_t from;  // first cycle in which it may be given
        uint8_t id, response;
    };
    struct Range {
        uint64_t start, end;
    };

    void check_request(const char* channel, const Request& request, Violation& violation) const;
    void accept_requests(uint64_t now, const CoreOutputs& core, const CoreInputs& inputs,
                         Violation& violation);
    void accept_data(const CoreOutputs& core, const CoreInputs& inputs, Violation& violation);
    void join_writes(uint64_t now, Violation& violation);
    void move(uint64_t now);
    uint8_t response(uint64_t address) const;
    void load(const Dram::Beat& beat);
    void store(const Dram::Beat& beat);
    void offer_read(CoreInputs& inputs);
    void offer_reply(uint64_t now, CoreInputs& inputs);

    const uint64_t bytes_;
    const uint32_t beat_bytes_;
    const size_t queue_;
    std::unique_ptr<uint8_t, decltype(&std::free)> contents_;
    Dram dram_;
    Chance chance_;
    std::vector<Range> refused_;
    bool hang_reads_ = false, hang_writes_ = false;

    Held<Request> held_ar_{"AR"}, held_aw_{"AW"};
    Held<Data> held_w_{"W"};
    std::deque<Request> addresses_;     // of writes whose data is not complete
    std::deque<uint32_t> complete_;     // beats of the bursts whose WLAST has come
    uint32_t partial_ = 0;              // beats that have come of the burst after those
    std::deque<Data> data_;             // all beats that have not moved through the port
    std::deque<ReadBeat> read_beats_;
    std::deque<Reply> replies_;
    uint8_t burst_response_ = 0;
};
