// Behavioural model of Lattice's MULT18X18D, of the one mode that systolith uses: both operands
// signed, input and output registers on CLK0 and CE0, no pipeline register, no cascade, no bypass.
// Any other setting stops the simulation. Written for this project; not the vendor's model.

module MULT18X18D(
  input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
  input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CE0, RST0, CLK0,
  output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
  output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTC_CLK = "NONE";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter SOURCEB_MODE = "B_SHIFT";
  parameter MULT_BYPASS = "DISABLED";
  parameter RESETMODE = "SYNC";
  parameter GSR = "ENABLED";

  initial begin
    #1;
    if (REG_INPUTA_CLK != "CLK0" || REG_INPUTB_CLK != "CLK0" || REG_OUTPUT_CLK != "CLK0" ||
        REG_INPUTA_CE != "CE0" || REG_INPUTB_CE != "CE0" || REG_OUTPUT_CE != "CE0" ||
        REG_INPUTC_CLK != "NONE" || REG_PIPELINE_CLK != "NONE" || SOURCEB_MODE != "B_SHIFT" ||
        MULT_BYPASS != "DISABLED" || RESETMODE != "SYNC" || GSR != "DISABLED" ||
        SIGNEDA !== 1 || SIGNEDB !== 1 || SOURCEA !== 0 || SOURCEB !== 0) begin
      $display("FAIL: MULT18X18D is used in a mode that this model lacks");
      $finish;
    end
  end

  wire signed [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2,
    A1, A0};
  wire signed [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2,
    B1, B0};
  reg signed [17:0] a_register = 0, b_register = 0;
  reg signed [35:0] product = 0;

  always @(posedge CLK0)
    if (RST0) begin
      a_register <= 0;
      b_register <= 0;
      product <= 0;
    end else if (CE0) begin
      a_register <= a;
      b_register <= b;
      product <= a_register * b_register;
    end

  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = product;
endmodule
