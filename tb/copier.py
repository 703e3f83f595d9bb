"""A stand-in for the core that copies memory: it tests what surrounds a core, without one.

It has the core's pins, its first registers and a few counters. START copies LENGTH bursts from
PROGRAM to POSITION. With bit 31 of LENGTH it only reads, with bit 30 it only writes.
"""

import string

from systolith_hw import registers
from systolith_hw.isa import ISA_VERSION, ErrorCode, Unit

READ_ONLY, WRITE_ONLY = 1 << 31, 1 << 30

OFFSETS = {item.name: item.offset for item in registers.REGISTERS} | {
    item.name: registers.COUNTER_BASE + 4 * index for index, item in enumerate(registers.COUNTERS)
}


def verilog(*, data_bytes: int = 8, burst_beats: int = 32, config_hash: int = 0) -> str:
    """Return the Verilog of module ``copier``."""
    return SOURCE.substitute(
        BITS=8 * data_bytes,
        BYTES=data_bytes,
        SIZE=data_bytes.bit_length() - 1,
        BEATS=burst_beats,
        IDENTITY=registers.IDENTITY,
        VERSION_VALUE=ISA_VERSION,
        HASH=config_hash,
        ERROR_READ=Unit.LOAD << 8 | ErrorCode.BUS_READ,
        ERROR_WRITE=Unit.STORE << 8 | ErrorCode.BUS_WRITE,
        **OFFSETS,
    )


SOURCE = string.Template("""\
module copier (
  input clk, input rst, output irq,
  output reg [31:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
  output [1:0] m_axi_arburst, output [1:0] m_axi_arid, output reg m_axi_arvalid,
  input m_axi_arready,
  input [$BITS-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input [1:0] m_axi_rid,
  input m_axi_rlast, input m_axi_rvalid, output m_axi_rready,
  output reg [31:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
  output [1:0] m_axi_awburst, output [1:0] m_axi_awid, output reg m_axi_awvalid,
  input m_axi_awready,
  output [$BITS-1:0] m_axi_wdata, output [$BYTES-1:0] m_axi_wstrb, output m_axi_wlast,
  output m_axi_wvalid, input m_axi_wready,
  input [1:0] m_axi_bresp, input [1:0] m_axi_bid, input m_axi_bvalid, output m_axi_bready,
  input [11:0] s_axil_awaddr, input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output reg [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
  input [11:0] s_axil_araddr, input s_axil_arvalid, output s_axil_arready,
  output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp, output reg s_axil_rvalid,
  input s_axil_rready
);
  assign m_axi_arlen = $BEATS - 1, m_axi_awlen = $BEATS - 1;
  assign m_axi_arsize = $SIZE, m_axi_awsize = $SIZE;
  assign m_axi_arburst = 1, m_axi_awburst = 1, m_axi_arid = 1, m_axi_awid = 2;
  assign m_axi_wstrb = ~0;

  // registers
  reg [31:0] source, target, length, watchdog, cycles, read_beats, written_beats;
  reg [1:0] irq_enable, irq_pending;
  reg [15:0] error;
  reg running, done, aborted;
  assign irq = |(irq_enable & irq_pending);
  wire write = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  assign s_axil_awready = write, s_axil_wready = write;
  assign s_axil_arready = ~s_axil_rvalid;
  wire control = write & s_axil_awaddr == $CONTROL;
  wire start = control & s_axil_wdata[0];
  wire abort = control & s_axil_wdata[1];
  wire clear = rst | control & s_axil_wdata[2];
  always @(posedge clk) begin
    if (s_axil_bready) s_axil_bvalid <= 0;
    if (write) begin
      s_axil_bvalid <= 1;
      s_axil_bresp <= s_axil_awaddr < 'h100 ? 0 : 2;
      case (s_axil_awaddr)
        $PROGRAM: source <= s_axil_wdata;
        $POSITION: target <= s_axil_wdata;
        $LENGTH: length <= s_axil_wdata;
        $WATCHDOG: watchdog <= s_axil_wdata;
        $IRQ_ENABLE: irq_enable <= s_axil_wdata[1:0];
      endcase
    end
    if (s_axil_rready) s_axil_rvalid <= 0;
    if (s_axil_arvalid & s_axil_arready) begin
      s_axil_rvalid <= 1;
      s_axil_rresp <= s_axil_araddr < 'h100 ? 0 : 2;
      case (s_axil_araddr)
        $ID: s_axil_rdata <= $IDENTITY;
        $VERSION: s_axil_rdata <= $VERSION_VALUE;
        $CONFIG_HASH: s_axil_rdata <= 32'd$HASH;
        $STATUS: s_axil_rdata <= {aborted, |error, done, running};
        $PROGRAM: s_axil_rdata <= source;
        $POSITION: s_axil_rdata <= target;
        $LENGTH: s_axil_rdata <= length;
        $WATCHDOG: s_axil_rdata <= watchdog;
        $IRQ_ENABLE: s_axil_rdata <= irq_enable;
        $IRQ_PENDING: s_axil_rdata <= irq_pending;
        $ERROR: s_axil_rdata <= error;
        $CYCLES: s_axil_rdata <= cycles;
        $LOAD_BEATS: s_axil_rdata <= read_beats;
        $STORE_BEATS: s_axil_rdata <= written_beats;
        default: s_axil_rdata <= 0;
      endcase
    end
    if (rst) begin
      s_axil_bvalid <= 0;
      s_axil_rvalid <= 0;
      irq_enable <= 0;
    end
  end

  // copying, through a buffer of 256 beats
  wire reading = ~length[30], writing = ~length[31];
  wire [31:0] bursts = length[29:0];
  reg [$BITS-1:0] buffer [0:255];
  reg [31:0] asked, sent, acknowledged;      // bursts
  reg [31:0] received, taken;                // beats
  reg halted;
  wire [31:0] reserved = asked * $BEATS - taken;
  wire stop = halted | |error;
  assign m_axi_rready = 1, m_axi_bready = 1;
  assign m_axi_wdata = reading ? buffer[taken[7:0]] : taken;
  assign m_axi_wvalid = taken < sent * $BEATS;
  assign m_axi_wlast = taken % $BEATS == $BEATS - 1;
  wire write_beat = m_axi_wvalid & m_axi_wready;
  wire read_beat = m_axi_rvalid & m_axi_rready;
  wire ask = running & reading & ~stop & asked < bursts & (~m_axi_arvalid | m_axi_arready)
    & (~writing | reserved <= 256 - $BEATS);
  wire send = running & writing & ~stop & sent < bursts & (~m_axi_awvalid | m_axi_awready)
    & (~reading | received >= (sent + 1) * $BEATS);
  wire drained = received == (reading ? asked * $BEATS : 0)
    & acknowledged == sent & taken == sent * $BEATS & ~m_axi_arvalid & ~m_axi_awvalid;
  wire finished = (~reading | asked == bursts) & (~writing | sent == bursts);
  always @(posedge clk) begin
    if (m_axi_arready) m_axi_arvalid <= 0;
    if (m_axi_awready) m_axi_awvalid <= 0;
    if (ask) begin
      m_axi_arvalid <= 1;
      m_axi_araddr <= source + asked * ($BEATS * $BYTES);
      asked <= asked + 1;
    end
    if (send) begin
      m_axi_awvalid <= 1;
      m_axi_awaddr <= target + sent * ($BEATS * $BYTES);
      sent <= sent + 1;
    end
    if (read_beat) begin
      buffer[received[7:0]] <= m_axi_rdata;
      received <= received + 1;
      read_beats <= read_beats + 1;
      if (|m_axi_rresp & ~|error) error <= $ERROR_READ;
    end
    if (write_beat) begin
      taken <= taken + 1;
      written_beats <= written_beats + 1;
    end
    if (m_axi_bvalid) begin
      acknowledged <= acknowledged + 1;
      if (|m_axi_bresp & ~|error) error <= $ERROR_WRITE;
    end
    if (write & s_axil_awaddr == $IRQ_PENDING) irq_pending <= irq_pending & ~s_axil_wdata[1:0];
    if (running) begin
      cycles <= cycles + 1;
      if (drained & (finished | stop)) begin
        running <= 0;
        done <= ~stop;
        aborted <= halted;
        irq_pending <= irq_pending | {|error, ~stop};
      end
    end
    if (abort) halted <= 1;
    if (start | clear) begin
      running <= start;
      {done, aborted, halted, error, irq_pending} <= 0;
      {asked, sent, acknowledged, received, taken, cycles, read_beats, written_beats} <= 0;
    end
    if (rst) begin
      m_axi_arvalid <= 0;
      m_axi_awvalid <= 0;
    end
  end
endmodule
""")
