/* A language model: a prompt goes in, tokens come out while the core makes them. */
#include "soc.h"

static void show(const struct soc *soc, const struct job *job, uint32_t token)
{
    if (!job->texts) {
        put_number(soc, token);
        put_text(soc, " ");
        return;
    }
    const uint8_t *table = soc->memory + job->texts, *entry = table + 2 * token;
    uint32_t begin = entry[0] | (uint32_t)entry[1] << 8, end = entry[2] | (uint32_t)entry[3] << 8;
    put_bytes(soc, table + begin, end - begin);
}

enum systolith_code story(const struct soc *soc, const struct job *job)
{
    struct systolith core;
    enum systolith_code code;
    uint32_t token = 0, last = job->prompt_tokens + job->make, made = 0, value = 0;

    code = told(soc, &core, "open",
                systolith_open(&core, soc->core, soc->memory, job->core_bytes));
    if (!code) code = load(soc, job, &core, 0);
    if (!code) code = told(soc, &core, "setup", systolith_setup(&core, job->polls));
    if (!code) code = told(soc, &core, "prompt", systolith_prompt(&core, job->prompt,
                           job->prompt_tokens, job->make));
    if (!code) code = told(soc, &core, "start", systolith_start(&core, 0, 0, 100000));
    if (code) return code;
    uint32_t begin = soc_time(soc), polls = job->polls;
    for (uint32_t position = job->prompt_tokens; position < last; position++) {
        enum systolith_code state = SYSTOLITH_BUSY;
        while ((code = systolith_token(&core, position, &token)) == SYSTOLITH_NO_TOKEN
               && state == SYSTOLITH_BUSY && polls) {
            state = systolith_poll(&core);
            polls--;
        }
        /* The last token may have come between the two looks. */
        if (code == SYSTOLITH_NO_TOKEN) code = systolith_token(&core, position, &token);
        if (code) break;
        show(soc, job, token);
        made++;
    }
    put_text(soc, "\n");
    if (polls) code = told(soc, &core, "wait", systolith_wait(&core, polls));
    else code = told(soc, &core, "wait", SYSTOLITH_TIMEOUT);
    if (code) return code;
    put_value(soc, "tokens", made);
    put_value(soc, "cycles of the cpu", soc_time(soc) - begin);
    if (!systolith_counter(&core, 0, &value)) put_value(soc, "cycles of the core", value);
    return SYSTOLITH_OK;
}
