// The pins of a core, as the host sees them. Plain C, since Python reads them through ctypes.

#pragma once

#include <cstdint>

constexpr uint32_t kMaxBeatBytes = 128;

// What the core drives, as it stands just before a rising clock edge.
struct CoreOutputs {
    uint32_t araddr, awaddr;
    uint32_t axil_rdata;
    uint8_t arvalid, arid, arlen, arsize, arburst;
    uint8_t awvalid, awid, awlen, awsize, awburst;
    uint8_t wvalid, wlast;
    uint8_t rready, bready;
    uint8_t axil_awready, axil_wready, axil_bvalid, axil_bresp;
    uint8_t axil_arready, axil_rvalid, axil_rresp;
    uint8_t irq;
    uint8_t wstrb[kMaxBeatBytes / 8];
    uint8_t wdata[kMaxBeatBytes];
};

// What the core is given from just after that edge to the next one.
struct CoreInputs {
    uint32_t axil_wdata;
    uint16_t axil_awaddr, axil_araddr;
    uint8_t rst;
    uint8_t arready, awready, wready;
    uint8_t rvalid, rid, rresp, rlast;
    uint8_t bvalid, bid, bresp;
    uint8_t axil_awvalid, axil_wvalid, axil_wstrb, axil_bready;
    uint8_t axil_arvalid, axil_rready;
    uint8_t rdata[kMaxBeatBytes];
};
