#include "host.h"

Host::Host(const HostSettings& settings)
    : memory(settings.memory_bytes, settings.beat_bytes, settings.timing, settings.stall,
             settings.seed),
      registers(settings.stall, ~settings.seed) {}

void Host::reset(uint32_t cycles) {
    reset_ = cycles;
    reset_edges_ = 0;
    inputs_.rst = 1;
    memory.reset(inputs_);
    registers.reset(inputs_);
}

void Host::clock(const CoreOutputs& core) {
    violation_.cycle = cycle_++;
    if (inputs_.rst) {
        // The reset is synchronous: before its first edge the outputs mean nothing.
        const bool valid = core.arvalid || core.awvalid || core.wvalid;
        if (reset_edges_ && valid) violation_.report("the core asks for the bus during reset");
        if (++reset_edges_ >= reset_) inputs_.rst = 0;
        return;
    }
    memory.clock(cycle_, core, inputs_, violation_);
    registers.clock(core, inputs_, violation_);
}

// The interface for ctypes. Registers are reached by begin, some clocks, and busy.
extern "C" {

Host* host_create(const HostSettings* settings) { return new Host(*settings); }
void host_destroy(Host* host) { delete host; }
void host_reset(Host* host, uint32_t cycles) { host->reset(cycles); }
void host_clock(Host* host, const CoreOutputs* core, CoreInputs* inputs) {
    host->clock(*core);
    *inputs = host->inputs();
}
void host_inputs(Host* host, CoreInputs* inputs) { *inputs = host->inputs(); }
uint64_t host_cycle(Host* host) { return host->cycle(); }
const char* host_violation(Host* host) { return host->violation().text(); }
uint8_t* host_memory(Host* host) { return host->memory.contents(); }
void host_statistics(Host* host, DramStatistics* out) { *out = host->memory.statistics(); }

void host_refuse(Host* host, uint64_t start, uint64_t end) { host->memory.refuse(start, end); }
void host_hang(Host* host, int reads, int writes) { host->memory.hang(reads, writes); }
void host_behave(Host* host) { host->memory.behave(); }

void host_begin_read(Host* host, uint32_t offset) { host->registers.begin_read(offset); }
void host_begin_write(Host* host, uint32_t offset, uint32_t value) {
    host->registers.begin_write(offset, value);
}
int host_busy(Host* host) { return host->registers.busy(); }
uint32_t host_value(Host* host) { return host->registers.value(); }
uint32_t host_response(Host* host) { return host->registers.response(); }
}
