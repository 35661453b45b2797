/*
 * Copyright (C) ngx-voice contributors
 *
 * A library of preload/ that stands before the system's in a process, and the
 * numbers of 64 bits by which it and a test talk.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync,
    writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';


const SOURCES = join(dirname(fileURLToPath(import.meta.url)), '../preload');


export class Preload {
    /* env: for the process; the library finds its numbers by NAME_FILE */
    constructor(name, numbers) {
        this.dir = mkdtempSync(join(tmpdir(), `ngx-voice-${name}-`));

        const library = join(this.dir, `${name}.so`);
        const file = join(this.dir, 'numbers');

        execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra',
            '-Werror', '-fno-builtin', '-shared', '-fPIC', '-o', library,
            join(SOURCES, `${name}.c`), '-ldl']);
        writeFileSync(file, Buffer.alloc(8 * numbers));

        this.numbers = numbers;
        this.fd = openSync(file, 'r+');
        this.env = { LD_PRELOAD: library,
            [`${name.toUpperCase()}_FILE`]: file };
    }

    /* as BigInts */
    read() {
        const bytes = Buffer.alloc(8 * this.numbers);

        readSync(this.fd, bytes, 0, bytes.length, 0);

        return Array.from({ length: this.numbers }, (_, i) =>
            bytes.readBigInt64LE(8 * i));
    }

    write(...numbers) {
        const bytes = Buffer.alloc(8 * this.numbers);

        numbers.forEach((n, i) => bytes.writeBigInt64LE(BigInt(n), 8 * i));
        writeSync(this.fd, bytes, 0, bytes.length, 0);
    }

    close() {
        closeSync(this.fd);
        rmSync(this.dir, { recursive: true });
    }
}
