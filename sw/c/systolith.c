#include "systolith.h"

#define NONE 0xFFFFFFFFu
#define STATE_OPEN 0x53594C54u   /* also tells a struct that nobody has opened */
#define STATE_LOADED 0x53594C55u
#define STATE_READY 0x53594C56u
#define SETUP_WATCHDOG 100000u

/* An image: bytes from its begin. */
enum {
    IMAGE_FORMAT = 4, IMAGE_ISA = 6, IMAGE_CONFIG = 8, IMAGE_CHECKSUM = 12, IMAGE_MANIFEST = 16,
    IMAGE_PARTS = 20, IMAGE_PAYLOAD = 24, IMAGE_PLACES = 28, IMAGE_SETUP = 28, IMAGE_PROGRAM = 32,
    IMAGE_LIST = 36, IMAGE_ENTRIES = 40, IMAGE_STRIDE = 44, IMAGE_POSITIONS = 48,
    IMAGE_VOCABULARY = 52, IMAGE_SIZE = 56, IMAGE_HEADER = 60, IMAGE_PART = 8, INSTRUCTION = 32
};

/* A list of tokens: words of its header, and what stands where none has been made. */
enum { LIST_POSITIONS = 0, LIST_PROMPT = 4, LIST_TOKENS = 8, LIST_CANDIDATES = 12, LIST_WORDS = 6 };

static const char *const code_names[SYSTOLITH_CODE_COUNT] = {
    "ok", "busy", "null pointer", "length of zero", "no Systolith core",
    "another instruction set", "image for another configuration", "no model image of this format",
    "damaged image", "out of range", "called out of order", "stopped by an error", "aborted",
    "timeout", "no token"
};

static const char *const error_names[] = {
    "none", "illegal instruction", "address range", "semaphore", "bus read", "bus write",
    "watchdog", "zero count", "loop", "misaligned"
};

static const char *const unit_names[] = { "sequencer", "array", "vector", "load", "store", "row" };

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_word(uint8_t *at, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> 8 * byte);
}

/* CRC-32 of zlib, four bits at a time. */
static uint32_t checksum(uint32_t crc, const uint8_t *bytes, uint32_t count)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u,
        0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u,
        0xA00AE278u, 0xBDBDF21Cu
    };
    crc = ~crc;
    for (uint32_t index = 0; index < count; index++) {
        crc ^= bytes[index];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static int is_open(const struct systolith *core)
{
    return core->state >= STATE_OPEN && core->state <= STATE_READY;
}

/* Whether bytes at an address do not reach beyond the last one. */
static int ends(const volatile void *at, uint32_t bytes)
{
    return bytes - 1 <= UINTPTR_MAX - (uintptr_t)at;
}

/* Whether two places, both of which end, have nothing in common. */
static int apart(const volatile void *first, uint32_t first_bytes, const volatile void *second,
                 uint32_t second_bytes)
{
    uintptr_t one = (uintptr_t)first, other = (uintptr_t)second;
    return one < other ? other - one >= first_bytes : one - other >= second_bytes;
}

/* Whether a place that ends has nothing in common with registers, where those have addresses. */
static int beside(const volatile uint32_t *registers, const volatile void *place, uint32_t bytes)
{
    return !SYSTOLITH_AT_ADDRESS || apart(registers, SYSTOLITH_REGISTER_SPACE, place, bytes);
}

/* Whether registers, where they have addresses, are aligned, and not within memory. */
static int registers_fit(const volatile uint32_t *registers, const uint8_t *memory, uint32_t bytes)
{
    return !SYSTOLITH_AT_ADDRESS
        || (!((uintptr_t)registers & 3) && ends(registers, SYSTOLITH_REGISTER_SPACE)
            && beside(registers, memory, bytes));
}

enum systolith_code systolith_open(struct systolith *core, volatile uint32_t *registers,
                                   uint8_t *memory, uint32_t memory_bytes)
{
    if (!core || !registers || !memory) return SYSTOLITH_NULL;
    if (!memory_bytes) return SYSTOLITH_EMPTY;
    core->state = 0;
    if (!ends(memory, memory_bytes) || !registers_fit(registers, memory, memory_bytes))
        return SYSTOLITH_RANGE;
    core->registers = registers;
    core->memory = memory;
    core->memory_bytes = memory_bytes;
    core->fetched = NONE;
    if (SYSTOLITH_READ(core, SYSTOLITH_ID) != SYSTOLITH_IDENTITY) return SYSTOLITH_FOREIGN;
    if (SYSTOLITH_READ(core, SYSTOLITH_VERSION) != SYSTOLITH_ISA_VERSION) return SYSTOLITH_ISA;
    core->state = STATE_OPEN;
    return SYSTOLITH_OK;
}

/* Whether so many bytes from an address on are within a size. */
static int within(uint32_t address, uint32_t bytes, uint32_t size)
{
    return bytes <= size && address <= size - bytes;
}

/* Look at what an image says of where things are, in memory of as many bytes as it uses. */
static enum systolith_code check_places(const uint8_t *image)
{
    uint32_t size = word(image + IMAGE_SIZE), stride = word(image + IMAGE_STRIDE);
    uint32_t entries = word(image + IMAGE_ENTRIES), positions = word(image + IMAGE_POSITIONS);
    for (uint32_t place = IMAGE_SETUP; place <= IMAGE_PROGRAM; place += 4)
        if (word(image + place) != NONE && (word(image + place) % INSTRUCTION
            || !within(word(image + place), INSTRUCTION, size))) return SYSTOLITH_RANGE;
    uint32_t absent = 0;
    for (uint32_t place = IMAGE_LIST; place <= IMAGE_VOCABULARY; place += 4)
        absent += place != IMAGE_POSITIONS && word(image + place) == NONE;
    if (absent == 4) return SYSTOLITH_OK;
    if (absent || positions == NONE) return SYSTOLITH_IMAGE;
    if (!within(word(image + IMAGE_LIST), 4 * LIST_WORDS, size) || !within(entries, 4, size))
        return SYSTOLITH_RANGE;
    /* The last entry begins behind the first by as much as there is, at most. */
    return positions && stride >= 4 && positions - 1 <= (size - 4 - entries) / stride
        ? SYSTOLITH_OK : SYSTOLITH_RANGE;
}

/* Look at everything in an image before any of it is copied. */
static enum systolith_code check_image(const struct systolith *core, const uint8_t *image,
                                       uint32_t bytes)
{
    if (bytes < IMAGE_HEADER || word(image) != 0x4D544C53u) return SYSTOLITH_IMAGE;
    if ((word(image + IMAGE_FORMAT) & 0xFFFFu) != SYSTOLITH_IMAGE_FORMAT) return SYSTOLITH_IMAGE;
    if (word(image + IMAGE_FORMAT) >> 16 != SYSTOLITH_ISA_VERSION) return SYSTOLITH_ISA;
    uint32_t left = bytes - IMAGE_HEADER, parts = word(image + IMAGE_PARTS);
    uint32_t manifest = word(image + IMAGE_MANIFEST), payload = word(image + IMAGE_PAYLOAD);
    if (parts > left / IMAGE_PART || payload > left - IMAGE_PART * parts
        || manifest != left - IMAGE_PART * parts - payload) return SYSTOLITH_DAMAGED;
    uint32_t crc = checksum(0, image, IMAGE_CHECKSUM);
    crc = checksum(crc, image + IMAGE_MANIFEST, bytes - IMAGE_MANIFEST);
    if (crc != word(image + IMAGE_CHECKSUM)) return SYSTOLITH_DAMAGED;
    if (word(image + IMAGE_CONFIG) != SYSTOLITH_READ(core, SYSTOLITH_CONFIG_HASH))
        return SYSTOLITH_CONFIG;
    if (word(image + IMAGE_SIZE) > core->memory_bytes) return SYSTOLITH_RANGE;
    for (uint32_t part = 0; part < parts; part++) {
        const uint8_t *row = image + IMAGE_HEADER + IMAGE_PART * part;
        uint32_t address = word(row), size = word(row + 4);
        if (size > payload) return SYSTOLITH_DAMAGED;
        payload -= size;
        if (!within(address, size, word(image + IMAGE_SIZE))) return SYSTOLITH_RANGE;
    }
    return payload ? SYSTOLITH_DAMAGED : check_places(image);
}

enum systolith_code systolith_load(struct systolith *core, const uint8_t *image, uint32_t bytes)
{
    if (!core || !image) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    if (!bytes) return SYSTOLITH_EMPTY;
    if (!ends(image, bytes) || !apart(image, bytes, core->memory, core->memory_bytes)
        || !beside(core->registers, image, bytes)) return SYSTOLITH_RANGE;
    if (systolith_poll(core) == SYSTOLITH_BUSY) return SYSTOLITH_BUSY;
    enum systolith_code code = check_image(core, image, bytes);
    if (code) return code;
    core->fetched = NONE;
    uint32_t parts = word(image + IMAGE_PARTS);
    const uint8_t *from = image + IMAGE_HEADER + IMAGE_PART * parts;
    for (uint32_t part = 0; part < parts; part++) {
        const uint8_t *row = image + IMAGE_HEADER + IMAGE_PART * part;
        uint8_t *to = core->memory + word(row);
        for (uint32_t left = word(row + 4); left; left--) *to++ = *from++;
    }
    uint32_t *const places[] = { &core->setup, &core->program, &core->list, &core->entries,
                                 &core->stride, &core->positions, &core->vocabulary };
    for (uint32_t place = 0; place < sizeof places / sizeof *places; place++)
        *places[place] = word(image + IMAGE_PLACES + 4 * place);
    core->state = core->setup == NONE ? STATE_READY : STATE_LOADED;
    return SYSTOLITH_OK;
}

static enum systolith_code start(struct systolith *core, uint32_t program, uint32_t length,
                                 uint32_t position, uint32_t watchdog)
{
    uint32_t status = SYSTOLITH_READ(core, SYSTOLITH_STATUS);
    if (status & SYSTOLITH_STATUS_RUNNING) return SYSTOLITH_BUSY;
    if (status & (SYSTOLITH_STATUS_ERROR | SYSTOLITH_STATUS_ABORTED)) return SYSTOLITH_ORDER;
    SYSTOLITH_BARRIER();
    /* A core keeps a program that it has fetched, also when memory has another one there since. */
    if (core->fetched != program) SYSTOLITH_WRITE(core, SYSTOLITH_PROGRAM, program);
    core->fetched = program;
    SYSTOLITH_WRITE(core, SYSTOLITH_LENGTH, length);
    SYSTOLITH_WRITE(core, SYSTOLITH_POSITION, position);
    SYSTOLITH_WRITE(core, SYSTOLITH_WATCHDOG, watchdog);
    SYSTOLITH_WRITE(core, SYSTOLITH_IRQ_PENDING, SYSTOLITH_IRQ_DONE | SYSTOLITH_IRQ_ERROR);
    SYSTOLITH_WRITE(core, SYSTOLITH_CONTROL, SYSTOLITH_CONTROL_START);
    return SYSTOLITH_OK;
}

enum systolith_code systolith_setup(struct systolith *core, uint32_t polls)
{
    if (!core) return SYSTOLITH_NULL;
    if (!is_open(core) || core->state == STATE_OPEN) return SYSTOLITH_ORDER;
    if (core->setup == NONE) return SYSTOLITH_OK;
    if (!polls) return SYSTOLITH_EMPTY;
    enum systolith_code code = start(core, core->setup, 0, 0, SETUP_WATCHDOG);
    if (!code) code = systolith_wait(core, polls);
    if (!code) core->state = STATE_READY;
    return code;
}

enum systolith_code systolith_start(struct systolith *core, uint32_t length, uint32_t position,
                                    uint32_t watchdog)
{
    if (!core) return SYSTOLITH_NULL;
    if (core->state != STATE_READY || core->program == NONE) return SYSTOLITH_ORDER;
    if (core->list == NONE && !length) return SYSTOLITH_EMPTY;
    if (length > core->positions || position >= core->positions) return SYSTOLITH_RANGE;
    return start(core, core->program, length, position, watchdog);
}

enum systolith_code systolith_poll(struct systolith *core)
{
    if (!core) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    uint32_t status = SYSTOLITH_READ(core, SYSTOLITH_STATUS);
    if (status & SYSTOLITH_STATUS_RUNNING) return SYSTOLITH_BUSY;
    SYSTOLITH_BARRIER();
    if (status & SYSTOLITH_STATUS_ERROR) return SYSTOLITH_STOPPED;
    if (status & SYSTOLITH_STATUS_ABORTED) return SYSTOLITH_ABORTED;
    return status & SYSTOLITH_STATUS_DONE ? SYSTOLITH_OK : SYSTOLITH_ORDER;
}

enum systolith_code systolith_wait(struct systolith *core, uint32_t polls)
{
    if (!core) return SYSTOLITH_NULL;
    if (!polls) return SYSTOLITH_EMPTY;
    while (polls--) {
        enum systolith_code code = systolith_poll(core);
        if (code != SYSTOLITH_BUSY) return code;
    }
    return SYSTOLITH_TIMEOUT;
}

enum systolith_code systolith_wait_interrupt(struct systolith *core, uint32_t wakes,
                                             void (*sleep)(void *context), void *context)
{
    if (!core || !sleep) return SYSTOLITH_NULL;
    if (!wakes) return SYSTOLITH_EMPTY;
    enum systolith_code code = systolith_poll(core);
    if (code != SYSTOLITH_BUSY) return code;
    while (code == SYSTOLITH_BUSY && wakes--) {
        /* Each time: a handler takes it away. */
        SYSTOLITH_WRITE(core, SYSTOLITH_IRQ_ENABLE, SYSTOLITH_IRQ_DONE | SYSTOLITH_IRQ_ERROR);
        sleep(context);
        code = systolith_poll(core);
    }
    SYSTOLITH_WRITE(core, SYSTOLITH_IRQ_ENABLE, 0);
    return code == SYSTOLITH_BUSY ? SYSTOLITH_TIMEOUT : code;
}

enum systolith_code systolith_interrupt(struct systolith *core)
{
    if (!core) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    SYSTOLITH_WRITE(core, SYSTOLITH_IRQ_ENABLE, 0);
    return SYSTOLITH_OK;
}

/* Wait until the core is off the bus. */
static enum systolith_code settle(struct systolith *core, uint32_t polls)
{
    while (polls--)
        if (!(SYSTOLITH_READ(core, SYSTOLITH_STATUS) & SYSTOLITH_STATUS_RUNNING))
            return SYSTOLITH_OK;
    return SYSTOLITH_TIMEOUT;
}

enum systolith_code systolith_abort(struct systolith *core, uint32_t polls)
{
    if (!core) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    if (!polls) return SYSTOLITH_EMPTY;
    SYSTOLITH_WRITE(core, SYSTOLITH_CONTROL, SYSTOLITH_CONTROL_ABORT);
    return settle(core, polls);
}

/* A second RESET does not wait for memory to answer, and whether a first one is under way cannot be
 * seen. So stop the core, and wait until it is off the bus: then the next is a first one. */
static enum systolith_code reset(struct systolith *core, uint32_t polls, int force)
{
    if (!core) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    if (!polls) return SYSTOLITH_EMPTY;
    if (force) {
        SYSTOLITH_WRITE(core, SYSTOLITH_CONTROL, SYSTOLITH_CONTROL_RESET);
    } else if (SYSTOLITH_READ(core, SYSTOLITH_STATUS) & SYSTOLITH_STATUS_RUNNING) {
        enum systolith_code code = systolith_abort(core, polls);
        if (code) return code;
    }
    SYSTOLITH_WRITE(core, SYSTOLITH_CONTROL, SYSTOLITH_CONTROL_RESET);
    return settle(core, polls);
}

enum systolith_code systolith_reset(struct systolith *core, uint32_t polls)
{
    return reset(core, polls, 0);
}

enum systolith_code systolith_force_reset(struct systolith *core, uint32_t polls)
{
    return reset(core, polls, 1);
}

enum systolith_code systolith_why(const struct systolith *core, struct systolith_fault *fault)
{
    if (!core || !fault) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    uint32_t error = SYSTOLITH_READ(core, SYSTOLITH_ERROR);
    fault->error = error & 0xFFu;
    fault->unit = error >> 8 & 0xFFu;
    fault->pc = SYSTOLITH_READ(core, SYSTOLITH_ERROR_PC);
    return SYSTOLITH_OK;
}

enum systolith_code systolith_counter(const struct systolith *core, uint32_t number,
                                      uint32_t *value)
{
    if (!core || !value) return SYSTOLITH_NULL;
    if (!is_open(core)) return SYSTOLITH_ORDER;
    if (number >= SYSTOLITH_COUNTER_COUNT) return SYSTOLITH_RANGE;
    *value = SYSTOLITH_READ(core, SYSTOLITH_COUNTERS + 4 * number);
    return SYSTOLITH_OK;
}

enum systolith_code systolith_prompt(struct systolith *core, const uint32_t *tokens, uint32_t count,
                                     uint32_t make)
{
    if (!core || !tokens) return SYSTOLITH_NULL;
    if (!is_open(core) || core->state == STATE_OPEN || core->list == NONE) return SYSTOLITH_ORDER;
    if (!count || !make) return SYSTOLITH_EMPTY;
    if (SYSTOLITH_READ(core, SYSTOLITH_STATUS) & SYSTOLITH_STATUS_RUNNING) return SYSTOLITH_BUSY;
    if (count > core->positions || make > core->positions - count) return SYSTOLITH_RANGE;
    for (uint32_t index = 0; index < count; index++)
        if (tokens[index] >= core->vocabulary) return SYSTOLITH_RANGE;
    uint8_t *list = core->memory + core->list, *entry = core->memory + core->entries;
    for (uint32_t index = 0; index < LIST_WORDS; index++) put_word(list + 4 * index, NONE);
    put_word(list + LIST_POSITIONS, count + make - 1);
    put_word(list + LIST_PROMPT, count);
    put_word(list + LIST_TOKENS, make);
    put_word(list + LIST_CANDIDATES, 1);
    for (uint32_t index = 0; index < core->positions; index++, entry += core->stride)
        put_word(entry, index < count ? tokens[index] : NONE);
    return SYSTOLITH_OK;
}

enum systolith_code systolith_token(const struct systolith *core, uint32_t position,
                                    uint32_t *token)
{
    if (!core || !token) return SYSTOLITH_NULL;
    if (!is_open(core) || core->state == STATE_OPEN || core->list == NONE) return SYSTOLITH_ORDER;
    if (position >= core->positions) return SYSTOLITH_RANGE;
    const volatile uint8_t *at = core->memory + core->entries + core->stride * position;
    uint8_t bytes[4];
    /* The core may be writing it, lowest byte first: once the highest is there, so are the others. */
    for (int byte = 3; byte >= 0; byte--) bytes[byte] = at[byte];
    if (word(bytes) >= core->vocabulary) return SYSTOLITH_NO_TOKEN;
    *token = word(bytes);
    return SYSTOLITH_OK;
}

const char *systolith_name(enum systolith_code code)
{
    return (uint32_t)code < SYSTOLITH_CODE_COUNT ? code_names[code] : "unknown code";
}

const char *systolith_error_name(uint32_t error)
{
    return error < sizeof error_names / sizeof *error_names ? error_names[error] : "unknown error";
}

const char *systolith_unit_name(uint32_t unit)
{
    return unit < sizeof unit_names / sizeof *unit_names ? unit_names[unit] : "unknown unit";
}
