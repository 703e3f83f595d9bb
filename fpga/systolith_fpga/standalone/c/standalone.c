/* Where start.S goes: addresses, and nothing else. */
#include "map.h"
#include "boot.h"

int main(void)
{
    static const struct boot_board board = {
        { (volatile uint32_t *)MAP_UART, (volatile uint32_t *)MAP_TIMER,
          (volatile uint32_t *)MAP_CORE, (uint8_t *)MAP_MEMORY },
        (volatile uint32_t *)MAP_FLASH, FLASH_CHIP_BYTES, FLASH_IMAGE, MEMORY_BYTES, GREETING
    };
    enum systolith_code code = boot(&board);
    for (;;) {
        boot_wait(&board);
        code = code ? boot(&board) : boot_again(&board);
    }
}
