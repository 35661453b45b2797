/*
 * Copyright (C) ngx-voice contributors
 *
 * Places for files.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';


/* A file system of so many megabytes, or null: then the test is skipped. */
export function smallFileSystem(t, megabytes) {
    const dir = mkdtempSync(join(tmpdir(), 'ngx-voice-small-'));

    try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`,
            'none', dir], { stdio: 'ignore' });
    } catch {
        rmdirSync(dir);
        t.skip('a tmpfs can not be mounted here');
        return null;
    }
    t.after(() => {
        execFileSync('umount', ['-l', dir]);
        rmdirSync(dir);
    });

    return dir;
}
