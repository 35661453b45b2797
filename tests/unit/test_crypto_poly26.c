/*
 * Copyright (C) ngx-voice contributors
 *
 * Poly1305 with 32-bit products, for AVX2.
 */


#define VOICE_POLY_HEADER  "voice_crypto_poly26.h"

#include "poly_scalar.h"
