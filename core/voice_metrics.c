/*
 * Copyright (C) ngx-voice contributors
 */


#include "voice_metrics.h"


const voice_metric_desc_t  voice_metric_desc[VOICE_METRICS_COUNT] = {
#define VOICE_METRIC_DESC(id, family, label, value)  { family, label, value },
    VOICE_METRICS(VOICE_METRIC_DESC)
#undef VOICE_METRIC_DESC
};
