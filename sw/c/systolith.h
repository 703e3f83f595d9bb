/* Drive a Systolith core from C99, without an operating system and without allocation.
 *
 * A core has registers, behind its AXI4-Lite or Wishbone port, and external memory, which it reads
 * and writes by itself. A model image has everything that must be in that memory. `systolith compile`
 * writes a zip file, MODEL.sysl, with images in it: `unzip MODEL.sysl language/text.image` takes out
 * the one that makes tokens, `stacks/0.image` is that of an encoder's layers. To run one once:
 *
 *     struct systolith core;
 *     enum systolith_code code = systolith_open(&core, registers, memory, memory_bytes);
 *     if (!code) code = systolith_load(&core, image, image_bytes);
 *     if (!code) code = systolith_setup(&core, polls);
 *     if (!code) code = systolith_start(&core, length, position, watchdog);
 *     if (!code) code = systolith_wait(&core, polls);
 *
 * Every function returns a code, SYSTOLITH_OK for success, whose name systolith_name() gives; what
 * fails has written nothing. Memory that is cached must be written back before a start, and its
 * lines dropped before results are read: that is the caller's.
 */
#ifndef SYSTOLITH_H
#define SYSTOLITH_H

#include <stdint.h>

/* How a 32-bit register is reached; define both before this to reach it in another way. */
#ifndef SYSTOLITH_READ
#define SYSTOLITH_READ(core, offset) ((core)->registers[(offset) / 4])
#define SYSTOLITH_WRITE(core, offset, value) ((core)->registers[(offset) / 4] = (value))
#define SYSTOLITH_AT_ADDRESS 1 /* so it can be checked */
#else
#define SYSTOLITH_AT_ADDRESS 0
#endif

/* All memory written before it is written, and none read behind it has been read: between memory and
 * registers, at a start and at a program's end. The default only holds the compiler to that; a CPU
 * whose own accesses may overtake one another needs its instruction here, as RISC-V's `fence`. */
#ifndef SYSTOLITH_BARRIER
#ifdef __GNUC__
#define SYSTOLITH_BARRIER() __asm__ volatile("" ::: "memory")
#else
#define SYSTOLITH_BARRIER() ((void)0)
#endif
#endif

#define SYSTOLITH_IDENTITY 0x544C5953u
#define SYSTOLITH_ISA_VERSION 7u
#define SYSTOLITH_IMAGE_FORMAT 2u

/* Byte offsets of registers. */
enum systolith_register {
    SYSTOLITH_ID = 0x00,
    SYSTOLITH_VERSION = 0x04,
    SYSTOLITH_CONFIG_HASH = 0x08,
    SYSTOLITH_CONTROL = 0x0C,
    SYSTOLITH_STATUS = 0x10,
    SYSTOLITH_PROGRAM = 0x14,
    SYSTOLITH_IRQ_ENABLE = 0x18,
    SYSTOLITH_IRQ_PENDING = 0x1C,
    SYSTOLITH_ERROR = 0x20,
    SYSTOLITH_ERROR_PC = 0x24,
    SYSTOLITH_WATCHDOG = 0x28,
    SYSTOLITH_LENGTH = 0x2C,
    SYSTOLITH_POSITION = 0x30,
    SYSTOLITH_COUNTERS = 0x80
};

/* Bytes that they take of addresses, most of which answer with a bus error. */
#define SYSTOLITH_REGISTER_SPACE 0x100u

/* A core may lack some of them, and answers with a bus error there, which traps most CPUs: read only
 * those of SYSTOLITH_CORE_COUNTERS in the core's own systolith_core.h. Number 0 is always there. */
#define SYSTOLITH_COUNTER_COUNT 24u

/* Bits of CONTROL, of STATUS, and of IRQ_ENABLE and IRQ_PENDING. */
enum {
    SYSTOLITH_CONTROL_START = 1, SYSTOLITH_CONTROL_ABORT = 2, SYSTOLITH_CONTROL_RESET = 4,
    SYSTOLITH_STATUS_RUNNING = 1, SYSTOLITH_STATUS_DONE = 2, SYSTOLITH_STATUS_ERROR = 4,
    SYSTOLITH_STATUS_ABORTED = 8,
    SYSTOLITH_IRQ_DONE = 1, SYSTOLITH_IRQ_ERROR = 2
};

/* What a function has to say. */
enum systolith_code {
    SYSTOLITH_OK = 0,
    SYSTOLITH_BUSY,       /* a program is running */
    SYSTOLITH_NULL,       /* a pointer is null */
    SYSTOLITH_EMPTY,      /* a length or a count of zero */
    SYSTOLITH_FOREIGN,    /* what answers is no Systolith core */
    SYSTOLITH_ISA,        /* the core or the image has another instruction set than this driver */
    SYSTOLITH_CONFIG,     /* the image is for another configuration than the core's */
    SYSTOLITH_IMAGE,      /* no model image, or one of another format */
    SYSTOLITH_DAMAGED,    /* the image is cut off, or its checksum does not match */
    SYSTOLITH_RANGE,      /* outside the core's memory, on top of something else, not aligned, or more
                           * than the model was compiled for */
    SYSTOLITH_ORDER,      /* another function must come first: open, load, setup, start, reset */
    SYSTOLITH_STOPPED,    /* the program met an error: systolith_why() says which; then reset */
    SYSTOLITH_ABORTED,    /* the program was aborted; then reset */
    SYSTOLITH_TIMEOUT,    /* looked as often as was asked for, and the core is still at work */
    SYSTOLITH_NO_TOKEN,   /* the core has not made that token, or no more of them */
    SYSTOLITH_CODE_COUNT
};

/* A core; its members are the driver's. */
struct systolith {
    volatile uint32_t *registers;
    uint8_t *memory;
    uint32_t memory_bytes;
    uint32_t setup;
    uint32_t program;
    uint32_t list;
    uint32_t entries;
    uint32_t stride;
    uint32_t positions;
    uint32_t vocabulary;
    uint32_t fetched; /* the program that the core keeps */
    uint32_t state;
};

/* Where and why a program stopped. */
struct systolith_fault {
    uint32_t error; /* systolith_error_name() */
    uint32_t unit;  /* systolith_unit_name() */
    uint32_t pc;    /* index of the instruction */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Look whether a core answers at `registers`; its byte 0 of external memory is `memory`. Registers
 * must be aligned, and outside of memory, which may not go beyond the end of addresses; what else may
 * be in the way is the caller's to know. A core may still be at work, or wait for memory with a reset
 * that somebody else began: then what needs it says SYSTOLITH_BUSY, and systolith_reset() waits. */
enum systolith_code systolith_open(struct systolith *core, volatile uint32_t *registers,
                                   uint8_t *memory, uint32_t memory_bytes);

/* Check a model image and copy it to memory: whole, or nothing of it. The image may not overlap the
 * core's memory or registers; parts of it that overlap one another are copied in their order. */
enum systolith_code systolith_load(struct systolith *core, const uint8_t *image, uint32_t bytes);

/* Run what brings a model to the chip, if there is such a program, looking at most `polls` times. */
enum systolith_code systolith_setup(struct systolith *core, uint32_t polls);

/* Start the model's program; a length is needed where no prompt is, and neither length nor position
 * may be more than it was compiled for. A watchdog of 0 never stops it. */
enum systolith_code systolith_start(struct systolith *core, uint32_t length, uint32_t position,
                                    uint32_t watchdog);

/* SYSTOLITH_OK when the program has ended, SYSTOLITH_BUSY while it runs. */
enum systolith_code systolith_poll(struct systolith *core);

/* Poll until the program has ended, at most `polls` times. */
enum systolith_code systolith_wait(struct systolith *core, uint32_t polls);

/* Sleep until the program has ended: `sleep` is called with `context`, and returns when the core's
 * interrupt has come, or earlier; after `wakes` calls it is SYSTOLITH_TIMEOUT. An interrupt that came
 * before the call is not lost, since the line stays high.
 *
 * Without a handler, `sleep` is an instruction that waits for an interrupt which is enabled but not
 * taken, as RISC-V's `wfi`. With one, the handler calls systolith_interrupt() and lets `sleep` go on,
 * by a flag or a semaphore. After an error it wakes at once until memory has answered, so allow for
 * some calls more than one. Aborting from elsewhere wakes nobody. */
enum systolith_code systolith_wait_interrupt(struct systolith *core, uint32_t wakes,
                                             void (*sleep)(void *context), void *context);

/* For a handler: lower the interrupt line. Nothing is forgotten, and it may be called at any time. */
enum systolith_code systolith_interrupt(struct systolith *core);

/* Stop a running program; reset before the next one. */
enum systolith_code systolith_abort(struct systolith *core, uint32_t polls);

/* Bring a core to its state after power-up; memories keep their contents. A running program is
 * aborted. It waits until memory has answered; after SYSTOLITH_TIMEOUT another call waits on. */
enum systolith_code systolith_reset(struct systolith *core, uint32_t polls);

/* The same without waiting for memory: only where it never answers, and its side of the bus is
 * reset, too. Else answers to what was asked before come to a core that does not expect them. */
enum systolith_code systolith_force_reset(struct systolith *core, uint32_t polls);

/* Say why the last program stopped. */
enum systolith_code systolith_why(const struct systolith *core, struct systolith_fault *fault);

/* Read a counter of the last run, by its place among the counters: its offset less 0x80, over 4. The
 * core must have it, which the driver does not know. */
enum systolith_code systolith_counter(const struct systolith *core, uint32_t number,
                                      uint32_t *value);

/* Write the prompt of a language model, behind which `make` tokens are to be made; then start with
 * a length and a position of zero. */
enum systolith_code systolith_prompt(struct systolith *core, const uint32_t *tokens, uint32_t count,
                                     uint32_t make);

/* Read the token of a position, if it has been made: also while the program runs. */
enum systolith_code systolith_token(const struct systolith *core, uint32_t position,
                                    uint32_t *token);

/* The names of codes, errors and units; never null. */
const char *systolith_name(enum systolith_code code);
const char *systolith_error_name(uint32_t error);
const char *systolith_unit_name(uint32_t unit);

#ifdef __cplusplus
}
#endif

#endif
