#include "boot.h"

uint32_t (*host_read)(uint32_t part, uint32_t offset);
void (*host_write)(uint32_t part, uint32_t offset, uint32_t value);
int host_boot(uint8_t *memory, uint32_t memory_bytes, uint32_t flash_bytes, uint32_t image,
              int again);

int host_boot(uint8_t *memory, uint32_t memory_bytes, uint32_t flash_bytes, uint32_t image,
              int again)
{
    const struct boot_board board = {
        { (volatile uint32_t *)HOST_UART, (volatile uint32_t *)HOST_TIMER,
          (volatile uint32_t *)HOST_CORE, memory },
        (volatile uint32_t *)HOST_FLASH, flash_bytes, image, memory_bytes, "a board"
    };
    if (again) boot_wait(&board);
    return (int)(again ? boot_again(&board) : boot(&board));
}
