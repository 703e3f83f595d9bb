#include "serial_line.h"

#include <utility>

namespace {
constexpr int BITS = 10;  // start, eight of data, stop
}

SerialLine::SerialLine(const SerialSettings& settings)
    : settings_(settings), state_(settings.seed * 2 + 1) {}

// xorshift64*, of Vigna's "An experimental exploration of Marsaglia's xorshift generators".
uint64_t SerialLine::random() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Dull;
}

bool SerialLine::chance() {
    return settings_.fault > 0 && double(random() >> 11) * 0x1p-53 < settings_.fault;
}

// Queue a byte, or what a bad line makes of it.
void SerialLine::spoil(std::deque<Delayed>& queue, uint8_t byte, uint64_t due) {
    if (!chance()) {
        queue.push_back({due, byte});
        return;
    }
    ++faults_;
    switch (random() >> 62) {
    case 0:
        queue.push_back({due, uint8_t(byte ^ 1u << (random() >> 61))});
        break;
    case 1:
        break;
    case 2:
        queue.push_back({due, byte});
        queue.push_back({due, byte});
        break;
    default:
        queue.push_back({due, byte});
        if (queue.size() > 1) std::swap(queue[queue.size() - 2].byte, queue.back().byte);
    }
}

void SerialLine::write(const uint8_t* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i)
        spoil(to_board_, bytes[i], cycle_ + settings_.delay_cycles);
}

size_t SerialLine::read(uint8_t* bytes, size_t room) {
    if (!packet_.empty() && cycle_ - packet_began_ >= settings_.packet_cycles) pack();
    size_t count = 0;
    for (; count < room && !to_host_.empty() && to_host_.front().due <= cycle_; ++count) {
        bytes[count] = to_host_.front().byte;
        to_host_.pop_front();
    }
    return count;
}

void SerialLine::forget_times() {
    for (int i = 0; i < 2; ++i) first_[i] = last_[i] = 0;
}

void SerialLine::send() {
    if (!sending_) {
        if (to_board_.front().due > cycle_) return;
        out_ = to_board_.front().byte << 1 | 1u << (BITS - 1);
        to_board_.pop_front();
        // The next byte follows the stop bit at once, where the line's own clock has it.
        if (out_edge_ + 1 < double(cycle_)) out_edge_ = double(cycle_);
        sending_ = true;
        out_bit_ = 0;
        if (!first_[0]) first_[0] = cycle_;
    } else if (double(cycle_) < out_edge_) {
        return;
    }
    if (out_bit_ == BITS) {
        sending_ = false;
        last_[0] = cycle_;
        if (!to_board_.empty()) send();
        return;
    }
    level_ = out_ >> out_bit_++ & 1;
    out_edge_ += settings_.bit_cycles;
}

void SerialLine::receive(bool tx) {
    if (!receiving_) {
        receiving_ = true;
        in_bit_ = 0;
        in_ = 0;
        in_sample_ = double(cycle_) + settings_.bit_cycles / 2;
        if (!first_[1]) first_[1] = cycle_;
        return;
    }
    if (double(cycle_) < in_sample_) return;
    in_sample_ += settings_.bit_cycles;
    in_ |= uint32_t(tx) << in_bit_++;
    if (in_bit_ < BITS) return;
    receiving_ = false;
    last_[1] = cycle_;
    if (!(in_ >> (BITS - 1)) || in_ & 1) {
        ++broken_;
        return;
    }
    if (packet_.empty()) packet_began_ = cycle_;
    packet_.push_back(uint8_t(in_ >> 1));
    if (!settings_.packet_cycles || packet_.size() >= settings_.packet_bytes) pack();
}

void SerialLine::pack() {
    for (uint8_t byte : packet_) spoil(to_host_, byte, cycle_ + settings_.delay_cycles);
    packet_.clear();
}

extern "C" {

void line_write(SerialLine* line, const uint8_t* bytes, size_t count) { line->write(bytes, count); }
size_t line_read(SerialLine* line, uint8_t* bytes, size_t room) { return line->read(bytes, room); }
size_t line_waiting(const SerialLine* line) { return line->waiting(); }
int line_quiet(const SerialLine* line) { return line->quiet(); }
uint64_t line_cycle(const SerialLine* line) { return line->cycle(); }
uint64_t line_faults(const SerialLine* line) { return line->faults(); }
uint64_t line_broken(const SerialLine* line) { return line->broken(); }
uint64_t line_first(const SerialLine* line, int from_board) { return line->first(from_board); }
uint64_t line_last(const SerialLine* line, int from_board) { return line->last(from_board); }
void line_forget_times(SerialLine* line) { line->forget_times(); }

}  // extern "C"
