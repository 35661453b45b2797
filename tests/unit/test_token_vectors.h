/*
 * Copyright (C) ngx-voice contributors
 *
 * Tokens that were made by other implementations: HS256 by PyJWT, RS256 and
 * ES256 by the openssl program.  The private keys were thrown away.
 */


#ifndef _TEST_TOKEN_VECTORS_H_INCLUDED_
#define _TEST_TOKEN_VECTORS_H_INCLUDED_


#define VECTOR_SECRET  "0123456789abcdef0123456789abcdef"

/*
 * {"sub": "501", "sid": "s1", "gid": "1000", "cid": "2000", "perm":
 * "3146752", "mute": true, "node": "n1", "boot": "b1", "rev": 7, "exp":
 * 2000000000}
 */
static const char  vector_hs256[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1MDEiLCJzaWQiOiJ"
    "zMSIsImdpZCI6IjEwMDAiLCJjaWQiOiIyMDAwIiwicGVybSI6IjMxNDY3NTIiLCJ"
    "tdXRlIjp0cnVlLCJub2RlIjoibjEiLCJib290IjoiYjEiLCJyZXYiOjcsImV4cCI"
    "6MjAwMDAwMDAwMH0.5X8VBwzGiTsXy_2Byi5HmYd5Bw-X-EXUyhpYmFuIvik";

/*
 * {"sub": "501", "name": "J\u00f6rg", "guilds": ["1000",
 * "18446744073709551615"], "bot": true}
 */
static const char  vector_user_hs256[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1MDEiLCJuYW1lIjo"
    "iSlx1MDBmNnJnIiwiZ3VpbGRzIjpbIjEwMDAiLCIxODQ0Njc0NDA3MzcwOTU1MTY"
    "xNSJdLCJib3QiOnRydWV9.UEKFtA9p6ayMQa5PH2kpI3KFXATSO0p2gb8fGmXkod"
    "I";

/* the same claims as in vector_hs256 */
static const char  vector_rs256[] =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1MDEiLCJzaWQiOiJ"
    "zMSIsImdpZCI6IjEwMDAiLCJjaWQiOiIyMDAwIiwicGVybSI6IjMxNDY3NTIiLCJ"
    "tdXRlIjp0cnVlLCJub2RlIjoibjEiLCJib290IjoiYjEiLCJyZXYiOjcsImV4cCI"
    "6MjAwMDAwMDAwMH0.ItXo8kU143qjFe3ukXaYr63wX8npQDLwjBj6u7wXiiDnFmK"
    "3E44pu3IqBrAVhk7H6fPN3pyopwKcBraXDkZtL1ihXLuDiKbdHJv6KNntY4JoDct"
    "Yx6jJq2nqRaalb0V8mSrQmBOxd2x51k02EhI4dN_MHH4T5g_h2IM7wzJWitpaYwr"
    "v0AQWW5IaoE9PemAY3aJC4c_Vb7HlgB9Lk1yS2xyVpd73zuDQ8VI6VhOzfjY-IUn"
    "zVkpJzCixhZpi6GSuzbjJI2xGJUa0TB7ed1hbTqWqvA178bI2a65CW2PYnbjkIrU"
    "zdDMFAZOBUmqQgvi1w4ElCTXUgBfWj_b3--l1KA";

static const char  vector_es256[] =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1MDEiLCJzaWQiOiJ"
    "zMSIsImdpZCI6IjEwMDAiLCJjaWQiOiIyMDAwIiwicGVybSI6IjMxNDY3NTIiLCJ"
    "tdXRlIjp0cnVlLCJub2RlIjoibjEiLCJib290IjoiYjEiLCJyZXYiOjcsImV4cCI"
    "6MjAwMDAwMDAwMH0.-CJlVBrgJdZa3z6ibJv-"
    "wOIUwrWZH_YJWVzYzm82yS0aYJAES-"
    "bmJapiL2TM5azWQgWCkqr16zBV7lqFspGhnA";

static const char  vector_rsa_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAi2LAB6pRVWGzCnaknlHb\n"
    "g2DpC925Uxor2/Dz5C0kDZTRGIutf8VOiIGmDCCS0tAqscQocXlBXgvTe4T8WZDr\n"
    "duJFmXxEcQy70c9RkhBfC5lDzcl8V7nKDvWgPCFvvDORqG/RViTjmU/jXfXNyCm3\n"
    "/rorCOr+VuJ0rHTjn4Cx5vO5cQmumeqmSBvMyExNL1u7kCtl74iDkB1cOarAk5Oh\n"
    "eaqWiewUSh8OLIEz8Iy40F4NqLp3zPeU9eJyNRsDqTuMsZMkTGrsxCh28IMh0ckl\n"
    "wdRPbX7LEIK0yGUbReLQXv+b1keNbxth2xvepw+r7UM6x0AZTJT/lK2jqcm7ZfB4\n"
    "nQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char  vector_ec_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhryvsO1Agw3o5YwF84phby7C9AkL\n"
    "X66BoGtAK3q4cPt6DA0bdagLu2gkIGwEjSnizEABCT8Kq25nqU0z2Nojuw==\n"
    "-----END PUBLIC KEY-----\n";


#endif /* _TEST_TOKEN_VECTORS_H_INCLUDED_ */
