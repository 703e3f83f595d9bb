// What several parts of the host share: the first broken rule, and chance.

#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

// Keeps the first violation, in words, with the cycle in which it was seen.
class Violation {
public:
    uint64_t cycle = 0;

    const char* text() const { return text_.c_str(); }
    explicit operator bool() const { return !text_.empty(); }

    __attribute__((format(printf, 2, 3))) void report(const char* format, ...) {
        if (!text_.empty()) return;
        char words[256];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(words, sizeof words, format, arguments);
        va_end(arguments);
        text_ = "cycle " + std::to_string(cycle) + ": " + words;
    }

private:
    std::string text_;
};

// Sees that a channel, once valid, holds valid and payload until it is accepted.
template <class Payload>
class Held {
    static_assert(std::has_unique_object_representations_v<Payload>, "compared byte by byte");

public:
    explicit Held(const char* channel) : channel_(channel) {}

    void check(bool valid, bool ready, const Payload& payload, Violation& violation) {
        if (waiting_) {
            if (!valid) violation.report("%sVALID fell before %sREADY came", channel_, channel_);
            else if (std::memcmp(&payload, &payload_, sizeof payload))
                violation.report("the %s payload changed before %sREADY came", channel_, channel_);
        }
        waiting_ = valid && !ready;
        if (waiting_) payload_ = payload;
    }
    void forget() { waiting_ = false; }

private:
    const char* channel_;
    bool waiting_ = false;
    Payload payload_ = {};
};

// Decides in each cycle whether a channel pauses; the same seed gives the same pauses. With
// probability zero it never says yes and costs nothing.
class Chance {
public:
    // `probability` in units of 2**-16.
    Chance(uint32_t probability, uint64_t seed) : probability_(probability), state_(seed | 1) {
        for (int i = 0; i < 8; ++i) next();
    }

    bool pause() { return probability_ && (next() & 0xFFFF) < probability_; }
    bool coin() { return probability_ && (next() & 1); }

private:
    uint32_t next() {  // xorshift64*
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return uint32_t((state_ * 0x2545F4914F6CDD1DULL) >> 32);
    }

    uint32_t probability_;
    uint64_t state_;
};
