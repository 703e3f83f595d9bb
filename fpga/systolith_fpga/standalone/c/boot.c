/* From flash memory to a text on the serial line. */
#include "boot.h"

enum { UART_RECEIVED = 2 };

/* Looks at the copier, each of which takes longer than a byte does to be copied. */
#define LOOKS 0x2000000u

typedef char header_has_its_size[sizeof(struct boot_header) == BOOT_BYTES ? 1 : -1];

/* An image's header, behind everything else in main memory. */
static const struct boot_header *header_of(const struct boot_board *board)
{
    return (const struct boot_header *)(board->soc.memory + (board->memory_bytes - BOOT_BYTES));
}

static void put_hexadecimal(const struct soc *soc, uint32_t value)
{
    for (int digit = 0; digit < 8; digit++, value <<= 4) {
        const uint8_t character = (uint8_t)"0123456789abcdef"[value >> 28];
        put_bytes(soc, &character, 1);
    }
}

/* Copy bytes of the image to main memory; return whether they came, and their checksum. */
static int copy(const struct boot_board *board, uint32_t from, uint32_t to, uint32_t bytes,
                uint32_t *checksum)
{
    volatile uint32_t *flash = board->flash;
    uint32_t looks = LOOKS, status;
    SOC_WRITE(flash, FLASH_FROM, board->image + from);
    SOC_WRITE(flash, FLASH_TO, to);
    SOC_WRITE(flash, FLASH_BYTES, bytes);
    while ((status = SOC_READ(flash, FLASH_STATUS)) & FLASH_BUSY && --looks) {}
    *checksum = SOC_READ(flash, FLASH_CRC);
    return !(status & (FLASH_BUSY | FLASH_FAILED));
}

static enum systolith_code refuse(const struct boot_board *board, const char *why,
                                  enum systolith_code code)
{
    put_text(&board->soc, why);
    put_text(&board->soc, "\n");
    return code;
}

/* Say which part is meant. */
static enum systolith_code refuse_part(const struct boot_board *board, const char *why,
                                       uint32_t part, enum systolith_code code)
{
    put_text(&board->soc, why);
    put_text(&board->soc, ": part ");
    put_number(&board->soc, part);
    put_text(&board->soc, "\n");
    return code;
}

static enum systolith_code read_header(const struct boot_board *board)
{
    const struct soc *soc = &board->soc;
    const struct boot_header *header = header_of(board);
    uint32_t at = board->memory_bytes - BOOT_BYTES, checksum, unused;
    if (!copy(board, 0, at, BOOT_CHECKED, &checksum)
        || !copy(board, BOOT_CHECKED, at + BOOT_CHECKED, BOOT_BYTES - BOOT_CHECKED, &unused))
        return refuse(board, "main memory did not take the image", SYSTOLITH_RANGE);
    if (header->magic != BOOT_MAGIC) {
        put_text(soc, "there is no image at byte ");
        put_number(soc, board->image);
        return refuse(board, " of the flash memory; systolith flash --standalone writes one",
                      SYSTOLITH_IMAGE);
    }
    if (header->checksum != checksum)
        return refuse(board, "the image in flash memory is damaged: its header", SYSTOLITH_DAMAGED);
    if (header->format != BOOT_FORMAT)
        return refuse(board, "the image has another format than this board knows: write both anew",
                      SYSTOLITH_IMAGE);
    const uint32_t hash = SOC_READ(soc->core, SYSTOLITH_CONFIG_HASH / 4);
    if (header->config_hash == hash) return SYSTOLITH_OK;
    put_text(soc, "the image is for configuration ");
    put_hexadecimal(soc, header->config_hash);
    put_text(soc, ", and the core has ");
    put_hexadecimal(soc, hash);
    return refuse(board, ": make it for this board's preset", SYSTOLITH_CONFIG);
}

static enum systolith_code read_parts(const struct boot_board *board)
{
    const struct boot_header *header = header_of(board);
    uint32_t room = board->memory_bytes - BOOT_BYTES, there = board->flash_bytes - board->image;
    uint32_t count = header->parts, begin = soc_time(&board->soc), bytes = 0;
    if (count > BOOT_PARTS || header->what.job.core_bytes > room
        || header->what.job.kind != JOB_STORY)
        return refuse(board, "the image's header is none", SYSTOLITH_IMAGE);
    for (uint32_t number = 0; number < count; number++) {
        const struct boot_part *part = &header->part[number];
        uint32_t checksum;
        if (part->bytes > room || part->address > room - part->bytes || part->bytes > there
            || part->from > there - part->bytes)
            return refuse_part(board, "the image goes beyond memory", number, SYSTOLITH_RANGE);
        if (!copy(board, part->from, part->address, part->bytes, &checksum))
            return refuse_part(board, "main memory did not take the image", number,
                               SYSTOLITH_RANGE);
        if (checksum != part->checksum)
            return refuse_part(board, "the image in flash memory is damaged", number,
                               SYSTOLITH_DAMAGED);
        bytes += part->bytes;
    }
    put_value(&board->soc, "bytes from flash memory", bytes);
    put_value(&board->soc, "cycles of copying", soc_time(&board->soc) - begin);
    return SYSTOLITH_OK;
}

enum systolith_code boot_again(const struct boot_board *board)
{
    const struct soc *soc = &board->soc;
    const struct boot_header *header = header_of(board);
    put_bytes(soc, soc->memory + header->prompt.address, header->prompt.bytes);
    enum systolith_code code = story(soc, &header->what.job);
    put_text(soc, code ? "failed: " : "done: ");
    put_text(soc, systolith_name(code));
    put_text(soc, "\npress a key to hear it again\n\004");
    return code;
}

enum systolith_code boot(const struct boot_board *board)
{
    put_text(&board->soc, board->greeting);
    put_text(&board->soc, "\n");
    enum systolith_code code = read_header(board);
    if (!code) code = read_parts(board);
    if (!code) return boot_again(board);
    put_text(&board->soc, "\004");
    return code;
}

void boot_wait(const struct boot_board *board)
{
    while (!(SOC_READ(board->soc.uart, UART_STATUS) & UART_RECEIVED)) {}
    (void)SOC_READ(board->soc.uart, UART_DATA);
}
