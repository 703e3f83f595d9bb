#include "spi_flash.h"

namespace {

constexpr uint32_t kFastRead = 0x0B;
constexpr uint32_t kCommand = 8, kAsked = 32, kBeforeData = 40;  // bits

}  // namespace

SpiFlash::SpiFlash(const SpiFlashSettings& settings)
    : settings_(settings), contents_(settings.bytes, 0xFF), noise_(settings.seed | 1) {}

bool SpiFlash::clock(bool cs_n, bool clk, bool copi) {
    // What is driven now came with the edge before.
    if (cs_n_ && !cs_n) selects(clk);
    if (!cs_n_ && cs_n) deselects(clk);
    if (!cs_n && clk && !clk_) rises(copi);
    if (!cs_n && !clk && clk_) falls();
    cs_n_ = cs_n;
    clk_ = clk;
    ++violation_.cycle;
    now_ += settings_.period;
    return driven_ && now_ - fell_ >= settings_.valid - 1e-6 ? out_ : noise();
}

void SpiFlash::selects(bool clk) {
    if (clk) violation_.report("selected while the clock is high: that is not mode 0");
    if (now_ - deselected_ < settings_.deselect)
        violation_.report("selected %.1f ns after it was left alone; it needs %.1f",
                          now_ - deselected_, settings_.deselect);
    selected_ = now_;
    bits_ = 0;
}

void SpiFlash::deselects(bool clk) {
    if (clk) violation_.report("deselected while the clock is high");
    if (bits_ < kBeforeData) violation_.report("deselected after %u bits, before any data", bits_);
    deselected_ = now_;
    driven_ = false;
}

void SpiFlash::rises(bool copi) {
    if (now_ - selected_ < settings_.select)
        violation_.report("a clock %.1f ns after select; it needs %.1f", now_ - selected_,
                          settings_.select);
    if (bits_ && now_ - rose_ < settings_.clock - 1e-6)
        violation_.report("a period of %.2f ns; the least is %.2f", now_ - rose_, settings_.clock);
    rose_ = now_;
    if (bits_ < kAsked) asked_ = asked_ << 1 | copi;
    if (bits_ < kBeforeData) ++bits_;
    if (bits_ == kCommand && (asked_ & 0xFF) != kFastRead)
        violation_.report("command %02X; only Fast Read, 0B, is modelled", asked_ & 0xFF);
    if (bits_ != kBeforeData || driven_) return;
    const uint32_t address = asked_ & 0xFFFFFF;
    if (address >= settings_.bytes)
        violation_.report("address %06X, and the chip has %u bytes", address, settings_.bytes);
    next_ = uint64_t(address) * 8;
    ++reads_;
}

void SpiFlash::falls() {
    if (bits_ < kBeforeData) return;
    // The last bit's falling edge shows another one, that nobody takes.
    const bool there = next_ < uint64_t(settings_.bytes) * 8;
    out_ = there && contents_[next_ / 8] >> (7 - next_ % 8) & 1;
    if (driven_) ++bits_read_;
    driven_ = true;
    fell_ = now_;
    ++next_;
}

bool SpiFlash::noise() {  // xorshift32
    noise_ ^= noise_ << 13;
    noise_ ^= noise_ >> 17;
    noise_ ^= noise_ << 5;
    return noise_ & 1;
}

// The interface for ctypes.
extern "C" {

SpiFlash* flash_create(const SpiFlashSettings* settings) { return new SpiFlash(*settings); }
void flash_destroy(SpiFlash* chip) { delete chip; }
int flash_clock(SpiFlash* chip, int cs_n, int clk, int copi) {
    return chip->clock(cs_n, clk, copi);
}
uint8_t* flash_memory(SpiFlash* chip) { return chip->contents().data(); }
const char* flash_violation(SpiFlash* chip) { return chip->violation().text(); }
uint64_t flash_reads(SpiFlash* chip) { return chip->reads(); }
uint64_t flash_bytes_read(SpiFlash* chip) { return chip->bytes_read(); }
}
