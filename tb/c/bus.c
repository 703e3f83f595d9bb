#include "bus.h"

uint32_t (*bus_read)(uint32_t offset);
void (*bus_write)(uint32_t offset, uint32_t value);
void (*bus_barrier)(void);
