#include "soc.h"

uint32_t (*host_read)(uint32_t part, uint32_t offset);
void (*host_write)(uint32_t part, uint32_t offset, uint32_t value);
int host_run(uint8_t *memory, const struct job *job);

/* A core that has ended before anybody can wait for it. */
static void sleep(void *context)
{
    (void)context;
}

enum systolith_code soc_wait(struct systolith *core, uint32_t wakes, uint32_t *interrupts)
{
    *interrupts = 0;
    return systolith_wait_interrupt(core, wakes, sleep, 0);
}

int host_run(uint8_t *memory, const struct job *job)
{
    const struct soc soc = {
        (volatile uint32_t *)HOST_UART, (volatile uint32_t *)HOST_TIMER,
        (volatile uint32_t *)HOST_CORE, memory
    };
    return (int)run(&soc, job);
}
