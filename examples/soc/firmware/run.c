/* Do what the job says. */
#include "soc.h"

enum systolith_code run(const struct soc *soc, const struct job *job)
{
    enum systolith_code code = SYSTOLITH_RANGE;
    if (job->kind == JOB_STORY) code = story(soc, job);
    else if (job->kind == JOB_LAYER) code = layer(soc, job);
    else put_text(soc, "no such job\n");
    put_text(soc, code ? "failed: " : "done: ");
    put_text(soc, systolith_name(code));
    put_text(soc, "\n\004");
    return code;
}
