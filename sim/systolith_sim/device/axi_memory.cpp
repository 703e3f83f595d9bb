#include "axi_memory.h"

#include <algorithm>

namespace {

constexpr uint8_t kOkay = 0, kSlaveError = 2, kDecodeError = 3;
constexpr uint8_t kIncrementing = 1;
constexpr uint32_t kPage = 4096;
constexpr size_t kReadBuffer = 16;  // beats read and not yet offered to the core

uint32_t log2(uint32_t value) { return 31 - __builtin_clz(value); }

}  // namespace

AxiMemory::AxiMemory(uint64_t bytes, uint32_t beat_bytes, const DramTiming& timing,
                     uint32_t stall, uint64_t seed)
    : bytes_(bytes),
      beat_bytes_(beat_bytes),
      queue_(timing.queue),
      contents_(static_cast<uint8_t*>(std::calloc(bytes, 1)), &std::free),
      dram_(timing, beat_bytes),
      chance_(stall, seed) {}

void AxiMemory::reset(CoreInputs& inputs) {
    dram_.reset();
    held_ar_.forget(), held_aw_.forget(), held_w_.forget();
    addresses_.clear(), complete_.clear(), data_.clear();
    read_beats_.clear(), replies_.clear();
    partial_ = 0;
    burst_response_ = kOkay;
    inputs.arready = inputs.awready = inputs.wready = inputs.rvalid = inputs.bvalid = 0;
}

void AxiMemory::clock(uint64_t now, const CoreOutputs& core, CoreInputs& inputs,
                      Violation& violation) {
    if (inputs.rvalid && core.rready) inputs.rvalid = 0;
    if (inputs.bvalid && core.bready) {
        replies_.pop_front();
        inputs.bvalid = 0;
    }
    accept_requests(now, core, inputs, violation);
    accept_data(core, inputs, violation);
    join_writes(now, violation);
    move(now);
    offer_read(inputs);
    offer_reply(now, inputs);
    inputs.arready = dram_.read_room() && !chance_.pause();
    inputs.awready = addresses_.size() < queue_ && !chance_.pause();
    inputs.wready = complete_.size() < queue_ && !chance_.pause();
}

void AxiMemory::accept_requests(uint64_t now, const CoreOutputs& core, const CoreInputs& inputs,
                                Violation& violation) {
    const Request ar = {core.araddr, core.arid, core.arlen, core.arsize, core.arburst};
    held_ar_.check(core.arvalid, inputs.arready, ar, violation);
    if (core.arvalid && inputs.arready) {
        check_request("AR", ar, violation);
        if (!hang_reads_) dram_.read(now, ar.address, ar.beats(), ar.id);
    }
    const Request aw = {core.awaddr, core.awid, core.awlen, core.awsize, core.awburst};
    held_aw_.check(core.awvalid, inputs.awready, aw, violation);
    if (core.awvalid && inputs.awready) {
        check_request("AW", aw, violation);
        addresses_.push_back(aw);
    }
}

void AxiMemory::accept_data(const CoreOutputs& core, const CoreInputs& inputs,
                            Violation& violation) {
    Data data = {};
    if (core.wvalid) {
        std::memcpy(data.bytes, core.wdata, beat_bytes_);
        std::memcpy(data.strobe, core.wstrb, (beat_bytes_ + 7) / 8);
        data.last = core.wlast;
    }
    held_w_.check(core.wvalid, inputs.wready, data, violation);
    if (!core.wvalid || !inputs.wready) return;
    data_.push_back(data);
    ++partial_;
    if (data.last) {
        complete_.push_back(partial_);
        partial_ = 0;
    }
}

// Data may come before its address; a burst goes to the DRAM when both are here.
void AxiMemory::join_writes(uint64_t now, Violation& violation) {
    if (partial_ && addresses_.size() > complete_.size()) {
        const uint32_t beats = addresses_[complete_.size()].beats();
        if (partial_ >= beats) violation.report("WLAST is missing at beat %u of %u", beats, beats);
    }
    while (!addresses_.empty() && !complete_.empty() && dram_.write_room()) {
        const Request& request = addresses_.front();
        if (request.beats() != complete_.front()) {
            violation.report("WLAST came at beat %u of a burst of %u", complete_.front(),
                             request.beats());
            return;
        }
        if (hang_writes_) data_.erase(data_.begin(), data_.begin() + request.beats());
        else dram_.write(now, request.address, request.beats(), request.id);
        addresses_.pop_front();
        complete_.pop_front();
    }
}

void AxiMemory::check_request(const char* channel, const Request& request,
                              Violation& violation) const {
    const uint32_t bytes = request.beats() * beat_bytes_;
    if (request.burst != kIncrementing)
        violation.report("%sBURST is %u; only incrementing bursts (1) are allowed", channel,
                         request.burst);
    else if (request.size != log2(beat_bytes_))
        violation.report("%sSIZE is %u, but a beat has %u bytes", channel, request.size,
                         beat_bytes_);
    else if (request.address % beat_bytes_)
        violation.report("%sADDR %#x is not a multiple of the %u bytes of a beat", channel,
                         request.address, beat_bytes_);
    else if (request.address % kPage + bytes > kPage)
        violation.report("a burst of %u bytes from %sADDR %#x crosses a 4096-byte boundary", bytes,
                         channel, request.address);
}

// Let a beat through the port of the DRAM, if one may pass.
void AxiMemory::move(uint64_t now) {
    const Dram::Beat beat = dram_.step(now, read_beats_.size() < kReadBuffer);
    if (beat.direction == Dram::Direction::read) load(beat);
    if (beat.direction != Dram::Direction::write) return;
    store(beat);
    if (beat.last()) {
        replies_.push_back({now + 1, uint8_t(beat.burst.id), burst_response_});
        burst_response_ = kOkay;
    }
}

uint8_t AxiMemory::response(uint64_t address) const {
    if (address + beat_bytes_ > bytes_) return kDecodeError;
    for (const Range& range : refused_)
        if (address < range.end && address + beat_bytes_ > range.start) return kSlaveError;
    return kOkay;
}

void AxiMemory::load(const Dram::Beat& beat) {
    const uint64_t address = beat.burst.address + uint64_t(beat.index) * beat_bytes_;
    ReadBeat& read = read_beats_.emplace_back();
    read.id = uint8_t(beat.burst.id);
    read.last = beat.last();
    read.response = response(address);
    if (read.response == kOkay) std::memcpy(read.bytes, contents_.get() + address, beat_bytes_);
    else std::memset(read.bytes, 0xEE, beat_bytes_);  // nobody may rely on what a refusal reads
}

void AxiMemory::store(const Dram::Beat& beat) {
    const uint64_t address = beat.burst.address + uint64_t(beat.index) * beat_bytes_;
    const uint8_t reply = response(address);
    burst_response_ = std::max(burst_response_, reply);
    const Data& data = data_.front();
    if (reply == kOkay)
        for (uint32_t i = 0; i < beat_bytes_; ++i)
            if (data.strobe[i / 8] >> i % 8 & 1) contents_.get()[address + i] = data.bytes[i];
    data_.pop_front();
}

void AxiMemory::offer_read(CoreInputs& inputs) {
    if (inputs.rvalid || read_beats_.empty() || chance_.pause()) return;
    auto beat = read_beats_.begin();
    if (chance_.coin()) {
        // Beats of different IDs may overtake each other, even inside their bursts.
        const uint8_t id = beat->id;
        const auto other = std::find_if(beat, read_beats_.end(),
                                        [id](const ReadBeat& later) { return later.id != id; });
        if (other != read_beats_.end()) beat = other;
    }
    inputs.rvalid = 1;
    inputs.rid = beat->id;
    inputs.rresp = beat->response;
    inputs.rlast = beat->last;
    std::memcpy(inputs.rdata, beat->bytes, beat_bytes_);
    read_beats_.erase(beat);
}

void AxiMemory::offer_reply(uint64_t now, CoreInputs& inputs) {
    if (inputs.bvalid || replies_.empty() || replies_.front().from > now || chance_.pause())
        return;
    inputs.bvalid = 1;
    inputs.bid = replies_.front().id;
    inputs.bresp = replies_.front().response;
}
