/* A layer of an encoder on the core; and how long the CPU takes for a fraction of its products. */
#include "soc.h"

enum { MOST_INPUTS = 512, MOST_TOKENS = 2, MOST_CHANNELS = 2 };

/* One product. A CPU that cannot multiply adds up: once for each bit of the weight, which has no
 * more than seven. */
static int32_t times(int32_t value, int32_t weight)
{
#if defined(__riscv) && !defined(__riscv_mul)
    uint32_t magnitude = weight < 0 ? 0u - (uint32_t)weight : (uint32_t)weight;
    uint32_t sum = 0, doubled = (uint32_t)value;
    for (uint32_t bit = 1; bit <= magnitude; bit += bit) {
        if (magnitude & bit) sum += doubled;
        doubled += doubled;
    }
    return (int32_t)(weight < 0 ? 0u - sum : sum);
#else
    return value * weight;
#endif
}

/* What the CPU would do all day: sums[token][channel] of int16 activations and int8 weights. */
static void multiply(const int16_t *activations, const int8_t *weights, int32_t *sums,
                     uint32_t tokens, uint32_t channels, uint32_t inputs)
{
    const int8_t *row = weights;
    for (uint32_t channel = 0; channel < channels; channel++, row += inputs) {
        const int16_t *word = activations;
        for (uint32_t token = 0; token < tokens; token++, word += inputs) {
            int32_t sum = 0;
            for (uint32_t input = 0; input < inputs; input++) sum += times(word[input], row[input]);
            *sums++ = sum;
        }
    }
}

/* Time the loop on its fraction, whose operands are first brought to the CPU's own memory. */
static enum systolith_code loop(const struct soc *soc, const struct job *job)
{
    static int16_t activations[MOST_TOKENS * MOST_INPUTS];
    static int8_t weights[MOST_CHANNELS * MOST_INPUTS];
    static int32_t sums[MOST_TOKENS * MOST_CHANNELS];
    if (job->loop_tokens > MOST_TOKENS || job->loop_channels > MOST_CHANNELS
        || job->loop_inputs > MOST_INPUTS) return SYSTOLITH_RANGE;
    const uint8_t *from = soc->memory + job->activations;
    int16_t *to = activations;
    for (uint32_t token = 0; token < job->loop_tokens; token++)
        for (uint32_t input = 0; input < job->loop_inputs; input++, from += 2)
            *to++ = (int16_t)(from[0] | from[1] << 8);
    from = soc->memory + job->weights;
    int8_t *row = weights;
    for (uint32_t channel = 0; channel < job->loop_channels; channel++)
        for (uint32_t input = 0; input < job->loop_inputs; input++) *row++ = (int8_t)*from++;
    uint32_t begin = soc_time(soc);
    multiply(activations, weights, sums, job->loop_tokens, job->loop_channels, job->loop_inputs);
    put_value(soc, "cycles of the loop", soc_time(soc) - begin);
    const int32_t *sum = sums;
    for (uint32_t channel = 0; channel < job->loop_channels; channel++)
        for (uint32_t token = 0; token < job->loop_tokens; token++)
            put_value(soc, "sum", (uint32_t)*sum++);
    return SYSTOLITH_OK;
}

enum systolith_code layer(const struct soc *soc, const struct job *job)
{
    struct systolith core;
    uint32_t value = 0, interrupts = 0;
    enum systolith_code code = told(soc, &core, "open",
                                    systolith_open(&core, soc->core, soc->memory, job->core_bytes));
    for (uint32_t image = 0; !code && image < job->images; image++) {
        code = load(soc, job, &core, image);
        if (code) break;
        uint32_t begin = soc_time(soc);
        code = told(soc, &core, "start", systolith_start(&core, job->length, 0, 100000));
        if (!code) code = told(soc, &core, "wait", soc_wait(&core, job->polls, &interrupts));
        uint32_t took = soc_time(soc) - begin;
        if (code || image != job->measured) continue;
        put_value(soc, "cycles of the cpu", took);
        put_value(soc, "interrupts", interrupts);
        uint32_t counters = job->counters;
        for (uint32_t number = 0; counters; number++, counters >>= 1) {
            if (!(counters & 1)) continue;
            put_text(soc, "counter ");
            put_number(soc, number);
            if (!systolith_counter(&core, number, &value)) put_value(soc, "", value);
        }
    }
    return code ? code : told(soc, &core, "loop", loop(soc, job));
}

