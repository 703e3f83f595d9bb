#include "soc.h"

uint32_t (*host_read)(uint32_t part, uint32_t offset);
void (*host_write)(uint32_t part, uint32_t offset, uint32_t value);
int host_run(uint8_t *memory, const struct job *job);

int host_run(uint8_t *memory, const struct job *job)
{
    const struct soc soc = {
        (volatile uint32_t *)HOST_UART, (volatile uint32_t *)HOST_TIMER,
        (volatile uint32_t *)HOST_CORE, memory
    };
    return (int)run(&soc, job);
}
