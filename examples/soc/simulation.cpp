// The verilated system between its clock, main memory, and the other end of the serial line.

#include <verilated.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "Vsoc.h"
#include "Vsoc___024root.h"

namespace {

constexpr uint32_t kMaxWord = 128;
constexpr uint64_t kReset = 16;  // cycles
constexpr char kEnd = '\004';  // the program has nothing more to say

// Pipelined Wishbone: an access per cycle, each answered `latency` cycles later, with an error if
// there is no memory. `pause` of 65536 cycles, by chance, it takes nothing, or answers nothing.
class Memory {
public:
    Memory(uint64_t bytes, uint32_t word_bytes, uint32_t latency, uint32_t pause, uint32_t seed)
        : contents(bytes), word_bytes_(word_bytes), latency_(latency), pause_(pause),
          random_(seed) {}

    void take(uint64_t now, const Vsoc& soc);
    void give(Vsoc& soc) const;

    std::vector<uint8_t> contents;
    uint64_t accesses = 0;

private:
    struct Answer {
        uint64_t due;
        uint64_t address;
        bool read, there;
    };
    bool pause() { return pause_ && random_() % 65536 < pause_; }

    const uint32_t word_bytes_, latency_, pause_;
    std::minstd_rand random_;
    std::deque<Answer> answers_;
    bool good_ = false, bad_ = false, stall_ = false;
    uint8_t read_[kMaxWord] = {};
};

// Look at what the system drives just before an edge; give() what it is to see behind it.
void Memory::take(uint64_t now, const Vsoc& soc) {
    if (soc.memory_cyc && soc.memory_stb && !stall_) {
        const uint64_t address = uint64_t(soc.memory_adr) * word_bytes_;
        const bool there = address < contents.size();
        ++accesses;
        if (soc.memory_we && there) {
            uint8_t data[kMaxWord], select[kMaxWord / 8] = {};
            std::memcpy(data, &soc.memory_dat_w, word_bytes_);
            std::memcpy(select, &soc.memory_sel, (word_bytes_ + 7) / 8);
            for (uint32_t byte = 0; byte < word_bytes_; ++byte)
                if (select[byte / 8] >> byte % 8 & 1) contents[address + byte] = data[byte];
        }
        answers_.push_back({now + latency_ - 1, address, !soc.memory_we, there});
    }
    stall_ = pause();
    good_ = bad_ = false;
    if (answers_.empty() || answers_.front().due > now || pause()) return;
    const Answer& answer = answers_.front();
    (answer.there ? good_ : bad_) = true;
    if (answer.read && answer.there) std::memcpy(read_, &contents[answer.address], word_bytes_);
    answers_.pop_front();
}

void Memory::give(Vsoc& soc) const {
    soc.memory_stall = stall_;
    soc.memory_ack = good_;
    soc.memory_err = bad_;
    if (good_) std::memcpy(&soc.memory_dat_r, read_, word_bytes_);
}

// Eight bits, no parity, one stop bit.
class Listener {
public:
    explicit Listener(uint32_t divisor) : divisor_(divisor) {}

    void clock(bool line) {
        if (!left_) {
            if (!line) left_ = 10, timer_ = divisor_ / 2;
        } else if (!--timer_) {
            timer_ = divisor_;
            --left_;
            if (left_ == 0) {
                if (line) text += char(bits_);
                else broken = true;
            } else if (left_ < 9) {
                bits_ = uint8_t(bits_ >> 1 | line << 7);
            }
        }
    }

    std::string text;
    bool broken = false;  // a character had no stop bit

private:
    const uint32_t divisor_;
    uint32_t left_ = 0, timer_ = 0;
    uint8_t bits_ = 0;
};

struct System {
    System(uint64_t bytes, uint32_t word_bytes, uint32_t latency, uint32_t pause, uint32_t seed,
           uint32_t divisor)
        : soc(&context), memory(bytes, word_bytes, latency, pause, seed), listener(divisor) {
        soc.clk = 0;
        soc.rst = 1;
        soc.rx = 1;
        soc.memory_stall = soc.memory_err = soc.memory_ack = 0;
        soc.eval();
    }
    ~System() {
        // A scope leaves the context that this thread used last, which may be gone.
        Verilated::threadContextp(&context);
        soc.final();
    }

    void clock() {
        memory.take(cycle, soc);
        listener.clock(soc.tx);
        soc.clk = 1;
        soc.eval();
        memory.give(soc);
        soc.rst = ++cycle < kReset;
        soc.clk = 0;
        soc.eval();
    }

    VerilatedContext context;
    Vsoc soc;
    Memory memory;
    Listener listener;
    uint64_t cycle = 0;
};

}  // namespace

extern "C" {

System* soc_create(uint64_t bytes, uint32_t word_bytes, uint32_t latency, uint32_t pause,
                   uint32_t seed, uint32_t divisor) {
    return new System(bytes, word_bytes, latency, pause, seed, divisor);
}
void soc_destroy(System* system) { delete system; }
uint8_t* soc_memory(System* system) { return system->memory.contents.data(); }
// The CPU's own memory, of words of 32 bits.
void* soc_local(System* system) { return &system->soc.rootp->soc__DOT__local__DOT__memory[0]; }
uint64_t soc_cycle(System* system) { return system->cycle; }
uint64_t soc_accesses(System* system) { return system->memory.accesses; }

// What has come over the serial line, or null if that was no characters.
const char* soc_text(System* system) {
    return system->listener.broken ? nullptr : system->listener.text.c_str();
}

// Run `cycles` cycles, or until the program has nothing more to say: one, then.
int soc_run(System* system, uint64_t cycles) {
    const std::string& text = system->listener.text;
    while (cycles-- && !system->listener.broken) {
        system->clock();
        if (!text.empty() && text.back() == kEnd) return 1;
    }
    return 0;
}
}
