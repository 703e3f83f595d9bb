#include "sdram_chip.h"

#include <algorithm>

SdramChip::SdramChip(const SdramSettings& settings)
    : settings_(settings),
      contents_(uint64_t(2) << (settings.row_bits + settings.bank_bits + settings.column_bits)),
      banks_(1u << settings.bank_bits) {}

uint16_t SdramChip::clock(const SdramPins& pins) {
    violation_.cycle = cycle_;
    now_ = double(cycle_) * settings_.period;
    if (!pins.cke) violation_.report("CKE is low: power-down is not modelled");
    if (!pins.cs_n) command(pins);
    // A mask holds back the data of two edges later.
    Word& word = words_[(cycle_ + 1) % kSlots];
    if (word.edge == cycle_ + 1) word.driven &= uint8_t(~mask_);
    mask_ = pins.mask;
    contention(pins);
    deadline();
    const uint16_t seen = sampled();
    ++cycle_;
    return seen;
}

void SdramChip::command(const SdramPins& pins) {
    const int code = pins.ras_n << 2 | pins.cas_n << 1 | pins.we_n;
    if (code == 7) return;
    if (now_ + 1e-6 < settings_.power_up && !ready_)
        violation_.report("a command %.0f ns after power-up; the chip needs %.0f", now_,
                          settings_.power_up);
    since(refreshed_, settings_.rfc, "tRFC", "a command after REFRESH");
    since(set_, std::max(settings_.mrd, 2 * settings_.period), "tMRD", "a command after MODE");
    const bool all = pins.address >> 10 & 1;
    switch (code) {
    case 3: return activate(pins);
    case 5: return column(pins, false);
    case 4: return column(pins, true);
    case 2:
        precharged_ |= all;
        if (!all) return precharge(banks_[pins.bank % banks_.size()], "PRECHARGE");
        for (Bank& bank : banks_) precharge(bank, "PRECHARGE ALL");
        return;
    case 1: return refresh();
    case 0: return set_mode(pins);
    default: violation_.report("BURST STOP is not modelled");
    }
}

// Report unless `least` ns have passed since `then`.
void SdramChip::since(double then, double least, const char* rule, const char* name) {
    if (now_ - then + 1e-6 < least)
        violation_.report("%s: %s comes %.2f ns too early (%.2f of %.2f)", rule, name,
                          least - (now_ - then), now_ - then, least);
}

void SdramChip::all_closed(const char* name) {
    for (const Bank& bank : banks_) {
        if (bank.open) violation_.report("%s with an open bank", name);
        since(bank.precharged, settings_.rp, "tRP", name);
    }
}

void SdramChip::activate(const SdramPins& pins) {
    Bank& bank = banks_[pins.bank % banks_.size()];
    ++statistics_.activates;
    if (!ready_) violation_.report("ACTIVATE before the chip is initialised");
    if (bank.open) violation_.report("ACTIVATE of bank %d, which is open", pins.bank);
    if (pins.address >> settings_.row_bits)
        violation_.report("ACTIVATE of row %d, which is not there", pins.address);
    since(bank.precharged, settings_.rp, "tRP", "ACTIVATE");
    since(bank.activated, settings_.rc, "tRC", "ACTIVATE");
    since(activated_, settings_.rrd, "tRRD", "ACTIVATE");
    bank.open = true;
    bank.row = pins.address;
    bank.activated = activated_ = now_;
}

void SdramChip::column(const SdramPins& pins, bool write) {
    const char* name = write ? "WRITE" : "READ";
    Bank& bank = banks_[pins.bank % banks_.size()];
    if (!bank.open) violation_.report("%s of bank %d, which is closed", name, pins.bank);
    if (pins.address >> 10 & 1) violation_.report("%s with auto precharge is not modelled", name);
    if (pins.address >> settings_.column_bits)
        violation_.report("%s of column %d, which is not there", name, pins.address);
    since(bank.activated, settings_.rcd, "tRCD", name);
    if (!bank.open) return;
    uint64_t place = bank.row;
    place = place << settings_.bank_bits | pins.bank;
    place = place << settings_.column_bits | (pins.address & ((1u << settings_.column_bits) - 1));
    uint8_t* bytes = &contents_[2 * place];
    if (write) {
        ++statistics_.writes;
        if (!pins.drives) violation_.report("WRITE while nobody drives the data");
        for (int i = 0; i < 2; ++i)
            if (!(pins.mask >> i & 1)) bytes[i] = uint8_t(pins.data >> 8 * i);
        bank.written = now_;
    } else {
        ++statistics_.reads;
        const uint64_t edge = cycle_ + settings_.cas;
        words_[edge % kSlots] = {edge, uint16_t(bytes[0] | bytes[1] << 8), 3};
    }
}

void SdramChip::precharge(Bank& bank, const char* name) {
    if (!bank.open) return;
    ++statistics_.precharges;
    since(bank.activated, settings_.ras, "tRAS", name);
    since(bank.written, settings_.wr, "tWR", name);
    bank.open = false;
    bank.precharged = now_;
}

void SdramChip::refresh() {
    ++statistics_.refreshes;
    ++initial_;
    if (!precharged_) violation_.report("REFRESH before the first PRECHARGE ALL");
    all_closed("REFRESH");
    refreshed_ = now_;
    due_ = due_ > 1 ? due_ - 1 : 0;
}

void SdramChip::set_mode(const SdramPins& pins) {
    all_closed("MODE");
    if (!precharged_) violation_.report("MODE before the first PRECHARGE ALL");
    if (initial_ < settings_.initial_refreshes)
        violation_.report("MODE after %u refreshes; the chip needs %u", initial_,
                          settings_.initial_refreshes);
    if ((pins.address >> 4 & 7) != settings_.cas)
        violation_.report("MODE sets a CAS latency of %d, not %u", pins.address >> 4 & 7,
                          settings_.cas);
    if (pins.address & 0xF || pins.address >> 7 || pins.bank)
        violation_.report("MODE %#x is not bursts of one word", pins.address);
    set_ = now_;
    ready_ = true;
}

// The controller drives from half a cycle before an edge to half a cycle after it; the chip drives
// the word of edge n from edge n - 1 until tHZ after n.
void SdramChip::contention(const SdramPins& pins) {
    if (!pins.drives) return;
    for (uint64_t edge = cycle_ ? cycle_ - 1 : 0; edge <= cycle_ + 1; ++edge) {
        const Word& word = words_[edge % kSlots];
        if (word.edge != edge || !word.driven) continue;
        const double until = double(edge) * settings_.period + settings_.release;
        if (until > now_ - settings_.period / 2)
            violation_.report("the controller drives the data while the chip does");
    }
}

void SdramChip::deadline() {
    if (!ready_) return;
    due_ += settings_.period / settings_.refresh;
    if (due_ > settings_.postponed + 1)
        violation_.report("refresh: more than %u are due", settings_.postponed + 1);
    for (const Bank& bank : banks_)
        if (bank.open && now_ - bank.activated > settings_.ras_max)
            violation_.report("tRAS: a row stays open for more than %.0f ns", settings_.ras_max);
}

// The controller's clock rises half a cycle after this edge. A word is at its input flop between
// tAC after one edge of the chip and tOH after the next, later by the round trip; at other times,
// and in bytes that the chip does not drive, there is noise.
uint16_t SdramChip::sampled() {
    const double time = now_ + settings_.period / 2 - settings_.round_trip;
    uint16_t seen = noise();
    for (uint64_t edge = cycle_ > 2 ? cycle_ - 2 : 0; edge <= cycle_ + 1; ++edge) {
        const Word& word = words_[edge % kSlots];
        if (word.edge != edge) continue;
        const double valid = double(edge) * settings_.period;
        if (time < valid - settings_.period + settings_.access || time > valid + settings_.hold)
            continue;
        for (int i = 0; i < 2; ++i) {
            const uint16_t lane = uint16_t(0xFF << 8 * i);
            if (word.driven >> i & 1) seen = uint16_t((seen & ~lane) | (word.data & lane));
        }
    }
    return seen;
}

uint16_t SdramChip::noise() {  // xorshift32
    noise_ ^= noise_ << 13;
    noise_ ^= noise_ >> 17;
    noise_ ^= noise_ << 5;
    return uint16_t(noise_);
}

// The interface for ctypes.
extern "C" {

SdramChip* sdram_create(const SdramSettings* settings) { return new SdramChip(*settings); }
void sdram_destroy(SdramChip* chip) { delete chip; }
uint16_t sdram_clock(SdramChip* chip, const SdramPins* pins) { return chip->clock(*pins); }
uint8_t* sdram_memory(SdramChip* chip) { return chip->contents(); }
uint64_t sdram_bytes(SdramChip* chip) { return chip->size(); }
uint64_t sdram_cycle(SdramChip* chip) { return chip->cycle(); }
const char* sdram_violation(SdramChip* chip) { return chip->violation().text(); }
void sdram_statistics(SdramChip* chip, SdramStatistics* out) { *out = chip->statistics(); }
}
