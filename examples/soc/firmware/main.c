/* Where start.S goes: addresses, and nothing else. */
#include "map.h"
#include "soc.h"

int main(void)
{
    static const struct soc soc = {
        (volatile uint32_t *)MAP_UART, (volatile uint32_t *)MAP_TIMER,
        (volatile uint32_t *)MAP_CORE, (uint8_t *)MAP_MEMORY
    };
    run(&soc, (const struct job *)MAP_JOB);
    for (;;) {}
}
