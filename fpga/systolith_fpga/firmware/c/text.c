/* Words and numbers on the serial line, without division, which the CPU has not. */
#include "soc.h"

static void put(const struct soc *soc, uint8_t character)
{
    while (!(SOC_READ(soc->uart, UART_STATUS) & UART_MAY_SEND)) {}
    SOC_WRITE(soc->uart, UART_DATA, character);
}

uint32_t soc_time(const struct soc *soc)
{
    return SOC_READ(soc->timer, TIMER_LOW);
}

void put_bytes(const struct soc *soc, const uint8_t *bytes, uint32_t count)
{
    while (count--) put(soc, *bytes++);
}

void put_text(const struct soc *soc, const char *text)
{
    while (*text) put(soc, (uint8_t)*text++);
}

void put_number(const struct soc *soc, uint32_t value)
{
    static const uint32_t powers[] = { 1000000000, 100000000, 10000000, 1000000, 100000, 10000,
                                       1000, 100, 10 };
    int begun = 0;
    for (uint32_t place = 0; place < sizeof powers / sizeof *powers; place++) {
        uint8_t digit = '0';
        for (; value >= powers[place]; value -= powers[place]) digit++;
        begun |= digit != '0';
        if (begun) put(soc, digit);
    }
    put(soc, (uint8_t)('0' + value));
}

void put_value(const struct soc *soc, const char *name, uint32_t value)
{
    put_text(soc, name);
    put_text(soc, " = ");
    put_number(soc, value);
    put_text(soc, "\n");
}

enum systolith_code told(const struct soc *soc, struct systolith *core, const char *call,
                         enum systolith_code code)
{
    struct systolith_fault fault;
    if (!code) return code;
    put_text(soc, call);
    put_text(soc, ": ");
    put_text(soc, systolith_name(code));
    if (code == SYSTOLITH_STOPPED && !systolith_why(core, &fault)) {
        put_text(soc, ", ");
        put_text(soc, systolith_unit_name(fault.unit));
        put_text(soc, ", ");
        put_text(soc, systolith_error_name(fault.error));
    }
    put_text(soc, "\n");
    return code;
}

enum systolith_code load(const struct soc *soc, const struct job *job, struct systolith *core,
                         uint32_t image)
{
    if (image >= job->images || image >= MOST_IMAGES)
        return told(soc, core, "load", SYSTOLITH_RANGE);
    const struct piece *from = &job->image[image];
    return told(soc, core, "load", systolith_load(core, soc->memory + from->address, from->bytes));
}
