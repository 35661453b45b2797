/*
 * Copyright (C) ngx-voice contributors
 *
 * Histogram of times with logarithmic buckets: fixed memory, whatever the
 * number of values, and a relative error below 1.6 percent.
 */


#ifndef _VC_HISTOGRAM_H_INCLUDED_
#define _VC_HISTOGRAM_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* 128 buckets of 1 us, then 64 for each doubling, up to 2^40 us */
#define VC_HISTOGRAM_LINEAR   128
#define VC_HISTOGRAM_BUCKETS  (VC_HISTOGRAM_LINEAR + (40 - 7) * 64)


typedef struct {
    uint64_t   count[VC_HISTOGRAM_BUCKETS];
    uint64_t   total;
    uint64_t   max;         /* exact, us */
} vc_histogram_t;


void vc_histogram_add(vc_histogram_t *h, uint64_t us);
void vc_histogram_merge(vc_histogram_t *h, const vc_histogram_t *other);

/*
 * The smallest bucket's upper end that has at least the given share (0..1)
 * of all values at or below it, never above max; 0 if there are no values.
 */
uint64_t vc_histogram_quantile(const vc_histogram_t *h, double share);

/* {"p50":1.234,"p99":...,"max":...} in ms; nulls if there are no values */
void vc_histogram_json(const vc_histogram_t *h, char *buf, size_t size);

/* "0.12 ms (half), 3.40 ms (99 %), 5.60 ms (all)" */
void vc_histogram_text(const vc_histogram_t *h, char *buf, size_t size);


#endif /* _VC_HISTOGRAM_H_INCLUDED_ */
