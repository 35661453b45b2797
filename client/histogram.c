/*
 * Copyright (C) ngx-voice contributors
 */


#include "histogram.h"

#include <stdio.h>


static size_t vc_histogram_index(uint64_t us);
static uint64_t vc_histogram_upper(size_t index);


void
vc_histogram_add(vc_histogram_t *h, uint64_t us)
{
    h->count[vc_histogram_index(us)]++;
    h->total++;

    if (us > h->max) {
        h->max = us;
    }
}


void
vc_histogram_merge(vc_histogram_t *h, const vc_histogram_t *other)
{
    size_t  i;

    for (i = 0; i < VC_HISTOGRAM_BUCKETS; i++) {
        h->count[i] += other->count[i];
    }

    h->total += other->total;

    if (other->max > h->max) {
        h->max = other->max;
    }
}


uint64_t
vc_histogram_quantile(const vc_histogram_t *h, double share)
{
    size_t    i;
    double    want;
    uint64_t  sum, upper;

    if (h->total == 0) {
        return 0;
    }

    want = share * (double) h->total;
    sum = 0;

    for (i = 0; i < VC_HISTOGRAM_BUCKETS; i++) {
        sum += h->count[i];

        if (sum != 0 && (double) sum >= want) {
            upper = vc_histogram_upper(i);
            return upper < h->max ? upper : h->max;
        }
    }

    return h->max;
}


void
vc_histogram_json(const vc_histogram_t *h, char *buf, size_t size)
{
    if (h->total == 0) {
        snprintf(buf, size, "{\"p50\":null,\"p99\":null,\"max\":null}");
        return;
    }

    snprintf(buf, size, "{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
             (double) vc_histogram_quantile(h, 0.5) / 1000,
             (double) vc_histogram_quantile(h, 0.99) / 1000,
             (double) h->max / 1000);
}


void
vc_histogram_text(const vc_histogram_t *h, char *buf, size_t size)
{
    snprintf(buf, size, "%.2f ms (half), %.2f ms (99 %%), %.2f ms (all)",
             (double) vc_histogram_quantile(h, 0.5) / 1000,
             (double) vc_histogram_quantile(h, 0.99) / 1000,
             (double) h->max / 1000);
}


static size_t
vc_histogram_index(uint64_t us)
{
    int     shift;
    size_t  index;

    if (us < VC_HISTOGRAM_LINEAR) {
        return (size_t) us;
    }

    /* the top seven bits of the value: 64 ... 127 */
    shift = 63 - __builtin_clzll(us) - 6;
    index = VC_HISTOGRAM_LINEAR + (size_t) (shift - 1) * 64
            + (size_t) ((us >> shift) - 64);

    return index < VC_HISTOGRAM_BUCKETS ? index : VC_HISTOGRAM_BUCKETS - 1;
}


static uint64_t
vc_histogram_upper(size_t index)
{
    size_t  shift, top;

    if (index < VC_HISTOGRAM_LINEAR) {
        return index;
    }

    shift = (index - VC_HISTOGRAM_LINEAR) / 64 + 1;
    top = (index - VC_HISTOGRAM_LINEAR) % 64 + 64;

    return ((uint64_t) (top + 1) << shift) - 1;
}
