/* The core's interrupt, which is the CPU's only one. */
#include "soc.h"

enum { LOOKS = 1 << 20 };

#define CSR(instruction) ".option push\n .option arch, +zicsr\n " instruction "\n .option pop"

static struct systolith *volatile sleeper;
static volatile uint32_t woken;

/* From start.S, where all traps come. */
void interrupt(void);

void interrupt(void)
{
    systolith_interrupt(sleeper);
    woken++;
}

/* `wfi` goes on for an interrupt that is not taken yet, so none is lost between flag and sleep. To a
 * CPU it may also be nothing, hence the flag, and an end. */
static void sleep(void *context)
{
    uint32_t *seen = context;
    for (uint32_t left = LOOKS; left && woken == *seen; left--) {
        __asm__ volatile(CSR("csrci mstatus, 8") : : : "memory");
        if (woken == *seen) __asm__ volatile("wfi");
        __asm__ volatile(CSR("csrsi mstatus, 8") : : : "memory");
    }
    *seen = woken;
}

enum systolith_code soc_wait(struct systolith *core, uint32_t wakes, uint32_t *interrupts)
{
    uint32_t begin = woken, seen = begin;
    sleeper = core;
#if CPU_IRQ_MASK
    __asm__ volatile(CSR("csrw %0, %1") : : "i"(CPU_IRQ_MASK), "r"(1));
#endif
    __asm__ volatile(CSR("csrw mie, %0") : : "r"(1 << 11));
    __asm__ volatile(CSR("csrsi mstatus, 8") : : : "memory");
    enum systolith_code code = systolith_wait_interrupt(core, wakes, sleep, &seen);
    __asm__ volatile(CSR("csrci mstatus, 8") : : : "memory");
    *interrupts = woken - begin;
    return code;
}
