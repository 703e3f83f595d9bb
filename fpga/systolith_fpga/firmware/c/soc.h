/* What the programs of this system have in common. */
#ifndef SOC_H
#define SOC_H

#include <stdint.h>

#include "systolith.h"

/* How registers of UART and timer are reached; define both before this to reach them otherwise. */
#ifndef SOC_READ
#define SOC_READ(at, word) ((at)[word])
#define SOC_WRITE(at, word, value) ((at)[word] = (value))
#endif

enum { UART_DATA = 0, UART_STATUS = 1, TIMER_LOW = 0 };
enum { UART_MAY_SEND = 1 };
enum { JOB_STORY = 1, JOB_LAYER = 2 };
enum { MOST_IMAGES = 4, MOST_PROMPT = 64 };

/* Where everything is. */
struct soc {
    volatile uint32_t *uart;
    volatile uint32_t *timer;
    volatile uint32_t *core;
    uint8_t *memory;
};

/* Bytes from the begin of main memory. */
struct piece {
    uint32_t address;
    uint32_t bytes;
};

/* What is to be done: written by whoever starts the system, as is all that it names. */
struct job {
    uint32_t kind;
    uint32_t core_bytes;                /* main memory that is the core's, from its begin */
    uint32_t images;
    struct piece image[MOST_IMAGES];    /* in the order in which they are loaded */
    uint32_t polls;                     /* of one run, at most */
    uint32_t length;                    /* JOB_LAYER: tokens */
    uint32_t measured;                  /* the image whose run is timed */
    uint32_t counters;                  /* bit n: the core has number n, which is told */
    uint32_t loop_tokens, loop_channels, loop_inputs;
    uint32_t activations, weights;      /* int16 (tokens, inputs), int8 (channels, inputs) */
    uint32_t make;                      /* JOB_STORY: tokens behind the prompt */
    uint32_t prompt_tokens;
    uint32_t prompt[MOST_PROMPT];
    uint32_t texts;                     /* uint16 begin of each token's text, and end; or 0 */
};

uint32_t soc_time(const struct soc *soc);
void put_text(const struct soc *soc, const char *text);
void put_bytes(const struct soc *soc, const uint8_t *bytes, uint32_t count);
void put_number(const struct soc *soc, uint32_t value);
void put_value(const struct soc *soc, const char *name, uint32_t value);

/* Say what a call of the driver came to, unless it was well; return it. */
enum systolith_code told(const struct soc *soc, struct systolith *core, const char *call,
                         enum systolith_code code);

/* Load an image; a code other than SYSTOLITH_OK has been told. */
enum systolith_code load(const struct soc *soc, const struct job *job, struct systolith *core,
                         uint32_t image);

/* Wait for the core by its interrupt, and count how many came. */
enum systolith_code soc_wait(struct systolith *core, uint32_t wakes, uint32_t *interrupts);

enum systolith_code story(const struct soc *soc, const struct job *job);
enum systolith_code layer(const struct soc *soc, const struct job *job);
enum systolith_code run(const struct soc *soc, const struct job *job);

#endif
