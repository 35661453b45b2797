/*
 * Copyright (C) ngx-voice contributors
 *
 * What README.md says there is, is what there is, by name: directives,
 * variables, metrics with their reasons, and fields of the agent.
 */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import { Nginx } from './lib/nginx.mjs';


const ROOT = new URL('../../', import.meta.url);

const read = (path) => readFileSync(new URL(path, ROOT), 'utf8');

const README = read('README.md');

/* The rows of all tables with that heading: [cells]. */
function table(heading) {
    const rows = [];
    let inside = false;

    for (const line of README.split('\n')) {
        const cells = line.startsWith('|')
            ? line.split(/(?<!\\)\|/).slice(1, -1).map((s) => s.trim()) : [];

        if (cells.length === 0) {
            inside = false;
        } else if (inside && !/^-+$/.test(cells[0])) {
            rows.push(cells);
        }
        inside ||= cells[0] === heading;
    }
    assert.ok(rows.length > 5, `table of each ${heading}`);

    return rows;
}

const codes = (text) => [...text.matchAll(/`([^`]+)`/g)].map(([, s]) => s);

/* What the sources of the folders have. */
function inSources(folders, pattern) {
    const text = folders.flatMap((folder) =>
        readdirSync(new URL(`${folder}/`, ROOT))
            .filter((name) => name.endsWith('.c'))
            .map((name) => read(`${folder}/${name}`))).join('\n');

    return [...text.matchAll(pattern)];
}

const MODULE = ['ngx_voice_module', 'ngx_voice_stream'];


function same(what, documented, present) {
    const twice = documented.filter((s, i) => documented.indexOf(s) !== i);

    assert.deepEqual(twice, [], `${what}: twice in the README`);
    assert.deepEqual([...documented].sort(), [...new Set(present)].sort(),
        `${what}: in the README, and in fact`);
}


test('directives', () => {
    same('directives',
        table('directive').map(([cell]) => codes(cell)[0].split(' ')[0]),
        inSources(MODULE, /^ {4}\{ ngx_string\("(voice_\w+)"\),$/gm)
            .map(([, name]) => name));
});

test('variables', () => {
    same('variables',
        [...new Set(README.match(/\$voice_\w+/g))].map((s) => s.slice(1)),
        inSources(MODULE, /^ {4}\{ ngx_string\("(voice_\w+)"\), NULL,/gm)
            .map(([, name]) => name));
});

test('metrics, each with a help, and their reasons', async (t) => {
    const nginx = await Nginx.start({});

    t.after(() => nginx.stop());

    const r = await fetch(`http://127.0.0.1:${nginx.http}/metrics`);
    const text = await r.text();
    const helps = [...text.matchAll(/^# HELP (\w+) (.*)$/gm)];
    const rows = table('metric').map(([cell, meaning]) =>
        ({ names: codes(cell).map((s) => s.replace(/\{.*/, '')), meaning }));

    same('metrics', rows.flatMap(({ names }) => names),
        helps.map(([, name]) => name));
    assert.equal(new Set(helps.map(([, , help]) => help)).size, helps.length,
        'each help is of one metric');

    for (const [, name, label, value] of text.matchAll(
        /^(\w+)\{(kind|reason|result|direction)="(\w+)"\}/gm))
    {
        const { meaning } = rows.find(({ names }) => names.includes(name));

        assert.match(meaning, new RegExp(`\\b${value}\\b`),
            `${name}, ${label}`);
    }
});

test('fields of the agent', () => {
    const fields = inSources(['discovery-agent'],
        /agent_(?:name\(|(?:field|text|checked)\((?:NULL|"(\w+)"), )"(\w+)"/g)
        .map(([, section, key]) => section ? `${section}.${key}` : key);

    same('fields', table('field').flatMap(([cell]) => codes(cell)),
        [...fields, 'etcd.endpoints']);
});
