// A multiplier of ECP5, 18 x 18 bits. Written from Lattice FPGA-TN-02205, "ECP5 and ECP5-5G sysDSP Usage
// Guide". Modelled: registers at the inputs, between and behind, all of clock 0, enable 0 and reset 0.
// A cell that asks for anything else ends the simulation.
module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0,
  input RST3, RST2, RST1, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTB_RST = "RST0";
  parameter REG_INPUTC_CLK = "NONE";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_PIPELINE_CE = "CE0";
  parameter REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  parameter SOURCEB_MODE = "B_SHIFT";
  parameter MULT_BYPASS = "DISABLED";
  parameter RESETMODE = "SYNC";
  parameter GSR = "ENABLED";

  function foreign(input [39:0] clock);
    foreign = clock != "NONE" && clock != "CLK0";
  endfunction

  initial begin
    if (foreign(REG_INPUTA_CLK) || foreign(REG_INPUTB_CLK) || foreign(REG_PIPELINE_CLK) ||
        foreign(REG_OUTPUT_CLK) || MULT_BYPASS != "DISABLED" || RESETMODE != "SYNC") begin
      $display("MULT18X18D: %m asks for what is not modelled");
      $finish;
    end
  end

  wire [18:0] a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [18:0] b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  // The chip clears them when it is configured.
  reg signed [18:0] a_register = 0, b_register = 0;
  wire signed [18:0] left = REG_INPUTA_CLK == "NONE" ? a : a_register;
  wire signed [18:0] right = REG_INPUTB_CLK == "NONE" ? b : b_register;
  wire signed [37:0] product = left * right;
  reg [35:0] between = 0, behind = 0;
  wire [35:0] inner = REG_PIPELINE_CLK == "NONE" ? product[35:0] : between;

  always @(posedge CLK0)
    if (RST0) begin
      a_register <= 0;
      b_register <= 0;
      between <= 0;
      behind <= 0;
    end else if (CE0) begin
      a_register <= a;
      b_register <= b;
      between <= product[35:0];
      behind <= inner;
    end

  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = REG_OUTPUT_CLK == "NONE" ? inner : behind;
endmodule
