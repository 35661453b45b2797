/*
 * Copyright (C) ngx-voice contributors
 *
 * Poly1305 with 52-bit products, for AVX-512.
 */


#define VOICE_POLY_HEADER  "voice_crypto_poly44.h"

#include "poly_scalar.h"
