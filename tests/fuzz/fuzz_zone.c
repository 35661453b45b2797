/*
 * Copyright (C) ngx-voice contributors
 *
 * Any order of operations leaves the zone consistent and as the model says.
 *
 * Input: nine bytes an operation: number, then two arguments, big-endian.
 */


#include "../unit/zone_ops.h"


#define FUZZ_OPS_MAX  400


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               text[256];
    size_t             size, n;
    uint32_t           a, b;
    static void       *mem;
    static ops_zone_t  o;

    size = voice_zone_size(OPS_SESSIONS);

    if (mem == NULL) {
        mem = zone_memory(size);
    }

    memset(mem, 0, size);
    ops_init(&o, mem);

    for (n = 0; len >= 9 && n < FUZZ_OPS_MAX; n++, data += 9, len -= 9) {
        a = (uint32_t) data[1] << 24 | data[2] << 16 | data[3] << 8 | data[4];
        b = (uint32_t) data[5] << 24 | data[6] << 16 | data[7] << 8 | data[8];

        ops_run(&o, data[0] % OPS_COUNT, a, b);
        ops_compare(&o);

        if (o.why[0] != '\0') {
            fprintf(stderr, "operation %zu (%u): %s\n", n,
                    data[0] % OPS_COUNT, o.why);
            abort();
        }
    }

    if (voice_zone_verify(&o.z[0], text, sizeof(text)) != 0) {
        fprintf(stderr, "after %zu operations: %s\n", n, text);
        abort();
    }

    return 0;
}
