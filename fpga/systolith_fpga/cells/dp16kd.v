// A block memory of ECP5 of 18 kbit, two ports. Written from Lattice FPGA-TN-02204, "ECP5 and ECP5-5G
// Memory Usage Guide", and from what synthesis connects. Chip selects are
// not modelled: a cell that asks for them ends the simulation.
//
// The memory is 2048 bytes of 9 bits. A port of 1, 2 or 4 bits has its words in the lower 8 bits of a
// byte, one of 18 or 36 bits takes 2 or 4 bytes, and has byte enables on its lowest address lines. A port
// of 36 bits takes both ports' data lines, and those of A are the lower half.
module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 0;
  parameter [319:0] INITVAL_01 = 0;
  parameter [319:0] INITVAL_02 = 0;
  parameter [319:0] INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0;
  parameter [319:0] INITVAL_05 = 0;
  parameter [319:0] INITVAL_06 = 0;
  parameter [319:0] INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0;
  parameter [319:0] INITVAL_09 = 0;
  parameter [319:0] INITVAL_0A = 0;
  parameter [319:0] INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0;
  parameter [319:0] INITVAL_0D = 0;
  parameter [319:0] INITVAL_0E = 0;
  parameter [319:0] INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0;
  parameter [319:0] INITVAL_11 = 0;
  parameter [319:0] INITVAL_12 = 0;
  parameter [319:0] INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0;
  parameter [319:0] INITVAL_15 = 0;
  parameter [319:0] INITVAL_16 = 0;
  parameter [319:0] INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0;
  parameter [319:0] INITVAL_19 = 0;
  parameter [319:0] INITVAL_1A = 0;
  parameter [319:0] INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0;
  parameter [319:0] INITVAL_1D = 0;
  parameter [319:0] INITVAL_1E = 0;
  parameter [319:0] INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0;
  parameter [319:0] INITVAL_21 = 0;
  parameter [319:0] INITVAL_22 = 0;
  parameter [319:0] INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0;
  parameter [319:0] INITVAL_25 = 0;
  parameter [319:0] INITVAL_26 = 0;
  parameter [319:0] INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0;
  parameter [319:0] INITVAL_29 = 0;
  parameter [319:0] INITVAL_2A = 0;
  parameter [319:0] INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0;
  parameter [319:0] INITVAL_2D = 0;
  parameter [319:0] INITVAL_2E = 0;
  parameter [319:0] INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0;
  parameter [319:0] INITVAL_31 = 0;
  parameter [319:0] INITVAL_32 = 0;
  parameter [319:0] INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0;
  parameter [319:0] INITVAL_35 = 0;
  parameter [319:0] INITVAL_36 = 0;
  parameter [319:0] INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0;
  parameter [319:0] INITVAL_39 = 0;
  parameter [319:0] INITVAL_3A = 0;
  parameter [319:0] INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0;
  parameter [319:0] INITVAL_3D = 0;
  parameter [319:0] INITVAL_3E = 0;
  parameter [319:0] INITVAL_3F = 0;

  reg [8:0] bytes [0:2047];

  task load(input integer first, input [319:0] words);
    integer word;
    for (word = 0; word < 16; word = word + 1) begin
      bytes[2 * (first + word)] = words[20 * word +: 9];
      bytes[2 * (first + word) + 1] = words[20 * word + 9 +: 9];
    end
  endtask

  initial begin
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin
      $display("DP16KD: %m asks for what is not modelled");
      $finish;
    end
    load(16 * 0, INITVAL_00);
    load(16 * 1, INITVAL_01);
    load(16 * 2, INITVAL_02);
    load(16 * 3, INITVAL_03);
    load(16 * 4, INITVAL_04);
    load(16 * 5, INITVAL_05);
    load(16 * 6, INITVAL_06);
    load(16 * 7, INITVAL_07);
    load(16 * 8, INITVAL_08);
    load(16 * 9, INITVAL_09);
    load(16 * 10, INITVAL_0A);
    load(16 * 11, INITVAL_0B);
    load(16 * 12, INITVAL_0C);
    load(16 * 13, INITVAL_0D);
    load(16 * 14, INITVAL_0E);
    load(16 * 15, INITVAL_0F);
    load(16 * 16, INITVAL_10);
    load(16 * 17, INITVAL_11);
    load(16 * 18, INITVAL_12);
    load(16 * 19, INITVAL_13);
    load(16 * 20, INITVAL_14);
    load(16 * 21, INITVAL_15);
    load(16 * 22, INITVAL_16);
    load(16 * 23, INITVAL_17);
    load(16 * 24, INITVAL_18);
    load(16 * 25, INITVAL_19);
    load(16 * 26, INITVAL_1A);
    load(16 * 27, INITVAL_1B);
    load(16 * 28, INITVAL_1C);
    load(16 * 29, INITVAL_1D);
    load(16 * 30, INITVAL_1E);
    load(16 * 31, INITVAL_1F);
    load(16 * 32, INITVAL_20);
    load(16 * 33, INITVAL_21);
    load(16 * 34, INITVAL_22);
    load(16 * 35, INITVAL_23);
    load(16 * 36, INITVAL_24);
    load(16 * 37, INITVAL_25);
    load(16 * 38, INITVAL_26);
    load(16 * 39, INITVAL_27);
    load(16 * 40, INITVAL_28);
    load(16 * 41, INITVAL_29);
    load(16 * 42, INITVAL_2A);
    load(16 * 43, INITVAL_2B);
    load(16 * 44, INITVAL_2C);
    load(16 * 45, INITVAL_2D);
    load(16 * 46, INITVAL_2E);
    load(16 * 47, INITVAL_2F);
    load(16 * 48, INITVAL_30);
    load(16 * 49, INITVAL_31);
    load(16 * 50, INITVAL_32);
    load(16 * 51, INITVAL_33);
    load(16 * 52, INITVAL_34);
    load(16 * 53, INITVAL_35);
    load(16 * 54, INITVAL_36);
    load(16 * 55, INITVAL_37);
    load(16 * 56, INITVAL_38);
    load(16 * 57, INITVAL_39);
    load(16 * 58, INITVAL_3A);
    load(16 * 59, INITVAL_3B);
    load(16 * 60, INITVAL_3C);
    load(16 * 61, INITVAL_3D);
    load(16 * 62, INITVAL_3E);
    load(16 * 63, INITVAL_3F);
  end

  wire clock_a = CLKAMUX == "INV" ? ~CLKA : CLKA;
  wire clock_b = CLKBMUX == "INV" ? ~CLKB : CLKB;
  wire [13:0] address_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] address_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [17:0] low = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] high = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire selected_a = CEA & ~CSA2 & ~CSA1 & ~CSA0;
  wire selected_b = CEB & ~CSB2 & ~CSB1 & ~CSB0;
  reg [35:0] out_a = 0, out_b = 0;

  function [35:0] read(input integer width, input [13:0] address);
    reg [8:0] one;
    begin
      one = bytes[address[13:3]];
      case (width)
        1: read = one[address[2:0]];
        2: read = one[{address[2:1], 1'b0} +: 2];
        4: read = one[{address[2], 2'b00} +: 4];
        9: read = one;
        18: read = {bytes[{address[13:4], 1'b1}], bytes[{address[13:4], 1'b0}]};
        default: read = {bytes[{address[13:5], 2'd3}], bytes[{address[13:5], 2'd2}],
                         bytes[{address[13:5], 2'd1}], bytes[{address[13:5], 2'd0}]};
      endcase
    end
  endfunction

  task write(input integer width, input [13:0] address, input [35:0] data);
    integer part;
    case (width)
      1: bytes[address[13:3]][address[2:0]] = data[0];
      2: bytes[address[13:3]][{address[2:1], 1'b0} +: 2] = data[1:0];
      4: bytes[address[13:3]][{address[2], 2'b00} +: 4] = data[3:0];
      9: bytes[address[13:3]] = data[8:0];
      18: for (part = 0; part < 2; part = part + 1)
        if (address[part]) bytes[{address[13:4], part[0]}] = data[9 * part +: 9];
      default: for (part = 0; part < 4; part = part + 1)
        if (address[part]) bytes[{address[13:5], part[1:0]}] = data[9 * part +: 9];
    endcase
  endtask

  // Both ports read what was there before either of them writes, unless a port writes through.
  reg [35:0] before_a, before_b;

  always @(posedge clock_a) begin
    before_a = read(DATA_WIDTH_A, address_a);
    #0;
    if (selected_a & WEA & ~RSTA)
      write(DATA_WIDTH_A, address_a, DATA_WIDTH_A == 36 ? {high, low} : low);
    if (RSTA) out_a <= 0;
    else if (selected_a & ~(WEA & WRITEMODE_A == "NORMAL"))
      out_a <= WEA & WRITEMODE_A == "WRITETHROUGH" ? read(DATA_WIDTH_A, address_a) : before_a;
  end

  always @(posedge clock_b) begin
    before_b = read(DATA_WIDTH_B, address_b);
    #0;
    if (selected_b & WEB & ~RSTB) write(DATA_WIDTH_B, address_b, high);
    if (RSTB) out_b <= 0;
    else if (selected_b & ~(WEB & WRITEMODE_B == "NORMAL"))
      out_b <= WEB & WRITEMODE_B == "WRITETHROUGH" ? read(DATA_WIDTH_B, address_b) : before_b;
  end

  always @(posedge RSTA) if (RESETMODE == "ASYNC") out_a <= 0;
  always @(posedge RSTB) if (RESETMODE == "ASYNC") out_b <= 0;

  // Output registers.
  reg [35:0] behind_a = 0, behind_b = 0;
  always @(posedge clock_a) if (RSTA) behind_a <= 0; else if (OCEA) behind_a <= out_a;
  always @(posedge clock_b) if (RSTB) behind_b <= 0; else if (OCEB) behind_b <= out_b;
  wire [35:0] shown_a = REGMODE_A == "OUTREG" ? behind_a : out_a;
  wire [35:0] shown_b = REGMODE_B == "OUTREG" ? behind_b : out_b;

  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? shown_b[17:0] : shown_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? shown_b[35:18] : shown_b[17:0];
endmodule
