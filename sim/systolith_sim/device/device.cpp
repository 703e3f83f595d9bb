// A verilated core between its clock and its `Host`, without a Python call per cycle.

#include <verilated.h>

#include <memory>

#include "Vcore.h"
#include "host.h"
#ifdef WATCH_ACTIVITY
#include "Vcore___024root.h"
#include "activity.h"
#endif
#if VM_TRACE
#include <verilated_vcd_c.h>
#endif

namespace {

struct Device {
    explicit Device(const HostSettings& settings) : host(settings), core(&context) {
        core.clk = 0;
        drive();
        core.eval();
    }
    ~Device() {
        // A scope leaves the context that this thread used last, which may be gone.
        Verilated::threadContextp(&context);
        core.final();
#if VM_TRACE
        if (trace) trace->close();
#endif
    }

    void sample();
    void drive();
    void clock();
    void watch();
    bool stopped() const { return bool(host.violation()); }

    VerilatedContext context;
    Host host;
    Vcore core;
    CoreOutputs outputs = {};
#ifdef WATCH_ACTIVITY
    std::unique_ptr<Activity> activity;
#endif
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
};

void Device::sample() {
    outputs.arvalid = core.m_axi_arvalid;
    outputs.arid = core.m_axi_arid;
    outputs.araddr = core.m_axi_araddr;
    outputs.arlen = core.m_axi_arlen;
    outputs.arsize = core.m_axi_arsize;
    outputs.arburst = core.m_axi_arburst;
    outputs.rready = core.m_axi_rready;
    outputs.awvalid = core.m_axi_awvalid;
    outputs.awid = core.m_axi_awid;
    outputs.awaddr = core.m_axi_awaddr;
    outputs.awlen = core.m_axi_awlen;
    outputs.awsize = core.m_axi_awsize;
    outputs.awburst = core.m_axi_awburst;
    outputs.wvalid = core.m_axi_wvalid;
    if (outputs.wvalid) {
        outputs.wlast = core.m_axi_wlast;
        std::memcpy(outputs.wdata, &core.m_axi_wdata, sizeof core.m_axi_wdata);
        std::memcpy(outputs.wstrb, &core.m_axi_wstrb, sizeof core.m_axi_wstrb);
    }
    outputs.bready = core.m_axi_bready;
    outputs.axil_awready = core.s_axil_awready;
    outputs.axil_wready = core.s_axil_wready;
    outputs.axil_bvalid = core.s_axil_bvalid;
    outputs.axil_bresp = core.s_axil_bresp;
    outputs.axil_arready = core.s_axil_arready;
    outputs.axil_rvalid = core.s_axil_rvalid;
    outputs.axil_rresp = core.s_axil_rresp;
    outputs.axil_rdata = core.s_axil_rdata;
    outputs.irq = core.irq;
}

void Device::drive() {
    const CoreInputs& inputs = host.inputs();
    core.rst = inputs.rst;
    core.m_axi_arready = inputs.arready;
    core.m_axi_awready = inputs.awready;
    core.m_axi_wready = inputs.wready;
    core.m_axi_rvalid = inputs.rvalid;
    if (inputs.rvalid) {
        core.m_axi_rid = inputs.rid;
        core.m_axi_rresp = inputs.rresp;
        core.m_axi_rlast = inputs.rlast;
        std::memcpy(&core.m_axi_rdata, inputs.rdata, sizeof core.m_axi_rdata);
    }
    core.m_axi_bvalid = inputs.bvalid;
    core.m_axi_bid = inputs.bid;
    core.m_axi_bresp = inputs.bresp;
    core.s_axil_awvalid = inputs.axil_awvalid;
    core.s_axil_awaddr = inputs.axil_awaddr;
    core.s_axil_wvalid = inputs.axil_wvalid;
    core.s_axil_wdata = inputs.axil_wdata;
    core.s_axil_wstrb = inputs.axil_wstrb;
    core.s_axil_bready = inputs.axil_bready;
    core.s_axil_arvalid = inputs.axil_arvalid;
    core.s_axil_araddr = inputs.axil_araddr;
    core.s_axil_rready = inputs.axil_rready;
}

// Nothing, but in a library that was built for it: activity.py names the signals.
void Device::watch() {
#ifdef WATCH_ACTIVITY
    const Vcore___024root& root = *core.rootp;
    if (activity && root.systolith__DOT__control__DOT__lifecycle__DOT__running)
        activity->cycle(root.systolith__DOT__events, root.systolith__DOT__fault_array___05Fpc);
#endif
}

void Device::clock() {
    sample();
    watch();
    core.clk = 1;
    core.eval();
#if VM_TRACE
    if (trace) trace->dump(10 * host.cycle() + 5);
#endif
    host.clock(outputs);
    drive();
    core.clk = 0;
    core.eval();
#if VM_TRACE
    if (trace) trace->dump(10 * host.cycle());
#endif
}

}  // namespace

extern "C" {

Device* device_create(const HostSettings* settings) { return new Device(*settings); }
void device_destroy(Device* device) { delete device; }
Host* device_host(Device* device) { return &device->host; }
// Hold reset for `cycles` edges, and run one cycle more.
void device_reset(Device* device, uint32_t cycles) {
    device->host.reset(cycles);
    device->drive();
    device->core.eval();
    for (uint32_t i = 0; i <= cycles; ++i) device->clock();
}

// Level of the interrupt line at the last edge.
int device_irq(Device* device) { return device->outputs.irq; }

// Run until the register access that was begun is over.
void device_finish_access(Device* device) {
    while (device->host.registers.busy() && !device->stopped()) device->clock();
}

// Run `cycles` cycles, or until an interrupt if asked; stop when the bus is misused.
uint64_t device_run(Device* device, uint64_t cycles, int until_irq) {
    const uint64_t start = device->host.cycle();
    while (device->host.cycle() - start < cycles && !device->stopped()) {
        device->clock();
        if (until_irq && device->outputs.irq) break;
    }
    return device->host.cycle() - start;
}

// Write waves of everything from now on; zero if the library was built without.
int device_trace(Device* device, const char* path) {
#if VM_TRACE
    device->trace = std::make_unique<VerilatedVcdC>();
    device->context.traceEverOn(true);
    device->core.trace(device->trace.get(), 99);
    device->trace->open(path);
    return 1;
#else
    (void)device, (void)path;
    return 0;
#endif
}

#ifdef WATCH_ACTIVITY
// Count events from now on, in bins of so many cycles.
void device_watch(Device* device, uint64_t bin_cycles) {
    device->activity = std::make_unique<Activity>(bin_cycles);
}

// What was counted, in bins or in steps of the program, and how many rows that is.
const uint64_t* device_activity(Device* device, int steps, uint64_t* rows) {
    const auto& table = steps ? device->activity->steps : device->activity->bins;
    *rows = table.size();
    return table.empty() ? nullptr : table.front().data();
}

// Cycles in which programs have run.
uint64_t device_watched_cycles(Device* device) { return device->activity->cycles(); }
#endif
}
