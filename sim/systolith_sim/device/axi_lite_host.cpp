#include "axi_lite_host.h"

void AxiLiteHost::begin_read(uint32_t offset) {
    state_ = State::read;
    offset_ = offset;
    address_sent_ = false;
    data_sent_ = true;
    waited_ = 0;
}

void AxiLiteHost::begin_write(uint32_t offset, uint32_t value) {
    state_ = State::write;
    offset_ = offset;
    value_ = value;
    address_sent_ = data_sent_ = false;
    waited_ = 0;
}

void AxiLiteHost::reset(CoreInputs& inputs) {
    state_ = State::idle;
    held_r_.forget(), held_b_.forget();
    inputs.axil_arvalid = inputs.axil_awvalid = inputs.axil_wvalid = 0;
    inputs.axil_rready = inputs.axil_bready = 0;
}

void AxiLiteHost::clock(const CoreOutputs& core, CoreInputs& inputs, Violation& violation) {
    take_answers(core, inputs, violation);
    if ((inputs.axil_arvalid && core.axil_arready) || (inputs.axil_awvalid && core.axil_awready)) {
        address_sent_ = true;
        inputs.axil_arvalid = inputs.axil_awvalid = 0;
    }
    if (inputs.axil_wvalid && core.axil_wready) {
        data_sent_ = true;
        inputs.axil_wvalid = 0;
    }
    inputs.axil_rready = inputs.axil_bready = 0;
    if (state_ == State::idle) return;

    if (++waited_ > kPatience)
        violation.report("the core did not answer an access to register %#x for %u cycles", offset_,
                         kPatience);
    // Address and data start apart from each other when pauses are asked for.
    if (!address_sent_ && state_ == State::read && (inputs.axil_arvalid || !chance_.pause())) {
        inputs.axil_arvalid = 1;
        inputs.axil_araddr = uint16_t(offset_);
    }
    if (!address_sent_ && state_ == State::write && (inputs.axil_awvalid || !chance_.pause())) {
        inputs.axil_awvalid = 1;
        inputs.axil_awaddr = uint16_t(offset_);
    }
    if (!data_sent_ && (inputs.axil_wvalid || !chance_.pause())) {
        inputs.axil_wvalid = 1;
        inputs.axil_wdata = value_;
        inputs.axil_wstrb = 0xF;
    }
    (state_ == State::read ? inputs.axil_rready : inputs.axil_bready) = !chance_.pause();
}

void AxiLiteHost::take_answers(const CoreOutputs& core, const CoreInputs& inputs,
                               Violation& violation) {
    held_r_.check(core.axil_rvalid, inputs.axil_rready, {core.axil_rdata, core.axil_rresp},
                  violation);
    held_b_.check(core.axil_bvalid, inputs.axil_bready, {0, core.axil_bresp}, violation);
    if (core.axil_rvalid && !(state_ == State::read && address_sent_))
        violation.report("the core answered a register read that was not asked for");
    if (core.axil_bvalid && !(state_ == State::write && address_sent_ && data_sent_))
        violation.report("the core answered a register write that was not complete");
    if (core.axil_rvalid && inputs.axil_rready) {
        value_ = core.axil_rdata;
        response_ = core.axil_rresp;
        state_ = State::idle;
    }
    if (core.axil_bvalid && inputs.axil_bready) {
        response_ = core.axil_bresp;
        state_ = State::idle;
    }
}
