/* A board that begins by itself: what is in flash memory, and what brings it to main memory. */
#ifndef BOOT_H
#define BOOT_H

#include "soc.h"

enum { FLASH_FROM = 0, FLASH_TO = 1, FLASH_BYTES = 2, FLASH_STATUS = 3, FLASH_CRC = 4 };
enum { FLASH_BUSY = 1, FLASH_FAILED = 2 };

#define BOOT_MAGIC 0x46544C53u /* "SLTF" */
#define BOOT_FORMAT 1u

enum { BOOT_PARTS = 27, BOOT_JOB_WORDS = 128, BOOT_CHECKED = 1020, BOOT_BYTES = 1024 };

/* Bytes from the begin of the image, and where they go. */
struct boot_part {
    uint32_t from;
    uint32_t address;
    uint32_t bytes;
    uint32_t checksum;
};

/* The first bytes of an image. */
struct boot_header {
    uint32_t magic;
    uint32_t format;
    uint32_t config_hash;
    uint32_t parts;
    struct piece prompt;                /* its text */
    uint32_t reserved[10];
    union {
        struct job job;
        uint32_t words[BOOT_JOB_WORDS];
    } what;
    struct boot_part part[BOOT_PARTS];
    uint32_t unused[3];
    uint32_t checksum;                  /* CRC-32 of all before it */
};

/* The board. */
struct boot_board {
    struct soc soc;
    volatile uint32_t *flash;
    uint32_t flash_bytes;
    uint32_t image;                     /* byte of the flash memory at which an image begins */
    uint32_t memory_bytes;
    const char *greeting;
};

/* Bring the image to main memory and tell its text; SYSTOLITH_OK, or what was said is why not. */
enum systolith_code boot(const struct boot_board *board);

/* Tell the text again. */
enum systolith_code boot_again(const struct boot_board *board);

/* Wait for a key. */
void boot_wait(const struct boot_board *board);

#endif
