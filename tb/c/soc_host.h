/* Registers of a system behind functions of the test. */
#include <stdint.h>

extern uint32_t (*host_read)(uint32_t part, uint32_t offset);
extern void (*host_write)(uint32_t part, uint32_t offset, uint32_t value);

enum { HOST_UART = 1, HOST_TIMER = 2, HOST_CORE = 3, HOST_FLASH = 4 };

#define HOST_PART(at) ((uint32_t)(uintptr_t)(at))
#define SOC_READ(at, word) host_read(HOST_PART(at), 4 * (uint32_t)(word))
#define SOC_WRITE(at, word, value) host_write(HOST_PART(at), 4 * (uint32_t)(word), value)
#define SYSTOLITH_READ(core, offset) host_read(HOST_PART((core)->registers), offset)
#define SYSTOLITH_WRITE(core, offset, value) host_write(HOST_PART((core)->registers), offset, value)
