/* Registers behind functions of the test, in place of memory. */
#include <stdint.h>

extern uint32_t (*bus_read)(uint32_t offset);
extern void (*bus_write)(uint32_t offset, uint32_t value);
extern void (*bus_barrier)(void);

#define SYSTOLITH_READ(core, offset) ((void)(core), bus_read(offset))
#define SYSTOLITH_WRITE(core, offset, value) ((void)(core), bus_write(offset, value))
#define SYSTOLITH_BARRIER() bus_barrier()
