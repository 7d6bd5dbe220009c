import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import type { Contract } from '../../src-preload/contract/index.ts';
import { ServedAdapters } from '../../src-main/studio/serving/served-adapters.ts';
import { startWebHost } from '../../src-main/web.ts';
import type { WebHost } from '../../src-main/web.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

let scratch: ReturnType<typeof scratchFolder>;
let closers: (() => Promise<void>)[];
beforeEach(() => {
  scratch = scratchFolder();
  closers = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closers.reverse()) await close();
  scratch.remove();
});

interface Entered extends WebHost {
  port: number;
  /** a browser's headers, once it has opened the owner's link */
  at: { host: string; origin: string; cookie: string };
}

async function host(options: { host?: string } = {}): Promise<Entered> {
  const data = join(scratch.folder, 'data');
  const rendererFolder = join(scratch.folder, 'renderer');
  mkdirSync(data, { recursive: true });
  mkdirSync(rendererFolder, { recursive: true });
  writeFileSync(join(rendererFolder, 'index.html'), '<!doctype html><title>page</title>');
  writeFileSync(join(scratch.folder, 'secret.txt'), 'secret');
  const { studio } = openTestStudio(data, player(3, 1));
  closers.push(() => studio.close());
  const web = await startWebHost({ studio, rendererFolder, ...options });
  closers.push(() => web.close());
  const { host: name, port } = new URL(web.url);
  return { ...web, port: Number(port), at: { host: name, origin: `http://${name}`, cookie: await enter(web.url) } };
}

/** Opens a link as a browser does. Returns the cookie it keeps. */
async function enter(link: string): Promise<string> {
  const { port, pathname, search } = new URL(link);
  const entered = await ask(Number(port), pathname + search, {});
  expect(entered).toMatchObject({ status: 200, text: expect.stringContaining('content="0;url=./"') as string });
  const [cookie] = entered.headers['set-cookie'] as string[];
  expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
  return cookie!.split(';')[0]!;
}

function clientOn(opened: WebSocket): ContractRouterClient<Contract> {
  return createORPCClient(new RPCLink({ websocket: opened as unknown as globalThis.WebSocket }));
}

/** A plain request on which every header is ours (fetch would set Host itself). */
function ask(port: number, path: string, headers: Record<string, string>, method = 'GET', body = '') {
  return new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function socket(port: number, headers: Record<string, string>): Promise<WebSocket> {
  const opened = new WebSocket(`ws://127.0.0.1:${port}/rpc`, { headers });
  return new Promise((resolve, reject) => {
    opened.once('open', () => resolve(opened));
    opened.once('unexpected-response', (_, response) => reject(new Error(String(response.statusCode))));
    opened.once('error', reject);
  });
}

/** What a stream begins with; it is left as pages leave theirs, by a signal. */
async function firstOf<T>(open: (options: { signal: AbortSignal }) => Promise<AsyncIterator<T>>): Promise<T> {
  const left = new AbortController();
  const { value } = await (await open({ signal: left.signal })).next();
  left.abort();
  return value as T;
}

describe('web host', () => {
  it('serves the page with a strict policy', async () => {
    const { port, links, at } = await host();
    expect(links).toEqual([]);
    const page = await ask(port, '/', { ...at, accept: 'text/html' });
    expect(page).toMatchObject({ status: 200, text: expect.stringContaining('page') });
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe/);
    // An address of the page's own router gives the page; a file that isn't there doesn't.
    expect((await ask(port, '/runs/1', { ...at, accept: 'text/html' })).text).toContain('page');
    expect((await ask(port, '/assets/none.js', at)).status).toBe(404);
  });

  it('asks for its token on loopback, too, where others are logged in', async () => {
    const { port, url, at } = await host();
    const { cookie, ...without } = at;
    const token = new URL(url).searchParams.get('token')!;
    expect(token.length).toBeGreaterThanOrEqual(32);
    for (const path of ['/', '/?token=wrong', '/?token=', '/assets/none.js'])
      expect((await ask(port, path, without)).status).toBe(401);
    expect((await ask(port, '/upload?name=a.jsonl', without, 'POST', '{}')).status).toBe(401);
    await expect(socket(port, without)).rejects.toThrow('401');
    // What a page sends carries the cookie; a token in such an address would stand in logs.
    expect((await ask(port, `/upload?name=a.jsonl&token=${token}`, without, 'POST', '{}')).status).toBe(401);
    expect(existsSync(join(scratch.folder, 'data', 'uploads', 'a.jsonl'))).toBe(false);
    (await socket(port, { ...without, cookie })).close();
  });

  it('keeps its token in a file for this user only, from start to start, and makes another once others could read it', async () => {
    const first = await host();
    const path = join(scratch.folder, 'data', 'web-token');
    expect(statSync(path).mode & 0o077).toBe(0);
    for (const close of closers.splice(0).reverse()) await close();
    expect(new URL((await host()).url).searchParams.get('token')).toBe(new URL(first.url).searchParams.get('token'));
    for (const close of closers.splice(0).reverse()) await close();
    chmodSync(path, 0o644);
    const third = new URL((await host()).url).searchParams.get('token');
    expect(third).not.toBe(new URL(first.url).searchParams.get('token'));
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it('answers under any name of the host or of a tunnel, and to no name without the token', async () => {
    const { port, at } = await host();
    for (const name of [
      'box',
      `box.local:${port}`,
      'localhost:5000',
      'studio.tailnet.example',
      `192.168.1.7:${port}`,
    ]) {
      expect((await ask(port, '/', { ...at, host: name, origin: `https://${name}` })).status).toBe(200);
      (await socket(port, { ...at, host: name, origin: `http://${name}` })).close();
    }
    // A proxy that names the studio by its own address says by which name it was reached itself.
    const behind = { ...at, 'x-forwarded-host': 'studio.example', origin: 'https://studio.example' };
    (await socket(port, behind)).close();
    // A name made to point here: a browser has no cookie for it.
    const rebound = { host: `evil.example:${port}`, origin: `http://evil.example:${port}` };
    expect((await ask(port, '/', rebound)).status).toBe(401);
    await expect(socket(port, rebound)).rejects.toThrow('401');
  });

  it('refuses other origins, and changes without an origin', async () => {
    const { port, at } = await host();
    const nowhere = { host: at.host, cookie: at.cookie };
    for (const origin of [
      'http://evil.example',
      `https://127.0.0.1:${port + 1}`,
      'null',
      'file://',
      'http://127.0.0.1',
    ]) {
      expect((await ask(port, '/', { ...at, origin })).status).toBe(403);
      await expect(socket(port, { ...at, origin })).rejects.toThrow('403');
    }
    expect((await ask(port, '/upload?name=a.jsonl', nowhere, 'POST', '{}')).status).toBe(403);
    await expect(socket(port, nowhere)).rejects.toThrow('403');
  });

  it('lets its owner at the machine widen what it may read, and no guest, wherever that one sits', async () => {
    const { port, links, at } = await host({ host: '0.0.0.0' });
    const widened = { folders: [join(scratch.folder, 'renderer')] };
    const guests = { ...at, cookie: await enter(`http://127.0.0.1:${port}/${new URL(links[0]!).search}`) };
    const guest = await socket(port, guests);
    // Guests know no more than their own token, and what it gives them.
    expect(links[0]).not.toContain(at.cookie.split('=')[1]);
    await expect(clientOn(guest).settings.set(widened)).rejects.toThrow(/only be changed on the machine/);
    await expect(clientOn(guest).serving.start({ ids: ['a'], network: true })).rejects.toThrow(/at the machine itself/);
    await expect(clientOn(guest).settings.setHubToken({ token: 'hf_theirs' })).rejects.toThrow(/only be changed on/);
    expect((await clientOn(guest).settings.set({ theme: 'dark' })).theme).toBe('dark');
    const owner = await socket(port, at);
    // One client a socket: each numbers what it asks from the beginning, and a stream is answered for longer than a call.
    const [visitor, owners] = [clientOn(guest), clientOn(owner)];
    // What is served to other programs: everybody sees that, and where; the key stands before its owner alone.
    const served = { url: 'http://127.0.0.1:8080/v1', models: [{ name: 'tiny', adapterId: null }] };
    vi.spyOn(ServedAdapters.prototype, 'served', 'get').mockReturnValue({ ...served, token: 'the key' });
    expect(await firstOf((options) => visitor.serving.watch(undefined, options))).toEqual({
      ...served,
      token: null,
    });
    expect(await firstOf((options) => owners.serving.watch(undefined, options))).toEqual({
      ...served,
      token: 'the key',
    });
    guest.close();
    await owners.settings.setHubToken({ token: 'hf_mine' });
    expect(readFileSync(join(scratch.folder, 'data', 'hub-token'), 'utf8').trim()).toBe('hf_mine');
    expect((await owners.settings.set(widened)).folders).toEqual(widened.folders);
    owner.close();
  });

  it('hangs up on a visitor that never finishes its request', async () => {
    const { port } = await host();
    const slow = connect(port, '127.0.0.1');
    slow.write('GET / HTTP/1.1\r\nHost: box\r\n');
    const drip = setInterval(() => slow.write('X-A: b\r\n'), 500);
    await new Promise((resolve) =>
      slow
        .on('error', () => undefined)
        .once('close', resolve)
        .resume(),
    );
    clearInterval(drip);
  });

  it('gives no file outside the page and no listing outside the chosen folders', async () => {
    const { port, at } = await host();
    for (const path of ['/../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt', '/assets/..%5c..%5csecret.txt'])
      expect((await ask(port, path, at)).text).not.toContain('secret');
    symlinkSync('/etc', join(scratch.folder, 'data', 'way-out'));
    const opened = await socket(port, at);
    const client = clientOn(opened);
    for (const path of ['/etc', `${scratch.folder}/data/../..`, join(scratch.folder, 'data', 'way-out'), 'a\0b'])
      await expect(client.files.browse({ path, show: 'all' })).rejects.toThrow(/outside the folders/);
    const inside = await client.files.browse({ path: join(scratch.folder, 'data'), show: 'datasets' });
    expect(inside.entries.map((entry) => entry.name)).toEqual([
      'adapters',
      'exports',
      'hub',
      'pictures',
      'runs',
      'tables',
      'uploads',
      'rows.jsonl',
    ]);
    expect(inside.parent).toBeNull();
    opened.close();
  });

  it('keeps an uploaded file under its plain name inside its own folder, and refuses other kinds', async () => {
    const { port, at } = await host();
    const name = encodeURIComponent('../../../rows ü.jsonl');
    const kept = await ask(
      port,
      `/upload?name=${name}`,
      { ...at, 'content-type': 'application/json' },
      'POST',
      '{"a":1}',
    );
    expect(kept.status).toBe(200);
    const { path } = JSON.parse(kept.text) as { path: string };
    expect(path.startsWith(join(scratch.folder, 'data', 'uploads'))).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}');
    const refused = await ask(port, '/upload?name=run.sh', at, 'POST', 'rm');
    expect(refused).toMatchObject({ status: 400, text: expect.stringContaining('no kind of file') });
    expect(readdirSync(join(scratch.folder, 'data', 'uploads'))).toHaveLength(1);
  });

  it('keeps an uploaded folder whole, and of anything else nothing', async () => {
    const { port, at } = await host();
    const uploads = () => readdirSync(join(scratch.folder, 'data', 'uploads'));
    const send = (name: string, files: unknown, body: string) => {
      const query = new URLSearchParams({ name, files: JSON.stringify(files) });
      return ask(port, `/upload-folder?${query.toString()}`, at, 'POST', body);
    };
    const files = [
      { name: 'adapter_config.json', bytes: 2 },
      { name: 'empty.txt', bytes: 0 },
      { name: 'weights of ü.safetensors', bytes: 3 },
    ];
    const kept = await send('../../my adapter', files, '{}abc');
    expect(kept.status).toBe(200);
    const { path } = JSON.parse(kept.text) as { path: string };
    expect(path).toMatch(/\/data\/uploads\/[^/]+\/my adapter$/);
    expect(Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name), 'utf8')]))).toEqual(
      {
        'adapter_config.json': '{}',
        'empty.txt': '',
        'weights of ü.safetensors': 'abc',
      },
    );

    const refusals: [unknown, RegExp][] = [
      [[{ name: '../config.json', bytes: 2 }], /"\.\.\/config\.json" is no kind of file/],
      [[{ name: 'run.sh', bytes: 2 }], /"run\.sh" is no kind of file/],
      [['a.json', 'A.json'].map((name) => ({ name, bytes: 1 })), /two of its files have the same name/],
      [[{ name: 'a.json', bytes: 9 }], /was not sent whole/],
      [[{ name: 'a.json', bytes: 2 ** 52 }], /is larger than the \d+ bytes that can be sent/],
      [[{ name: 'a.json', bytes: -1 }], /no folder the studio can take in/],
      [[], /no folder the studio can take in/],
      ['{', /no folder the studio can take in/],
    ];
    for (const [described, sentence] of refusals)
      expect(await send('folder', described, '{}')).toMatchObject({
        status: 400,
        text: expect.stringMatching(sentence) as string,
      });
    expect(uploads()).toHaveLength(1);
  });

  it('leaves nothing of an upload that breaks off, and of what a killed studio left half written', async () => {
    const uploads = join(scratch.folder, 'data', 'uploads');
    const left = join(uploads, 'left');
    const fresh = join(uploads, 'fresh');
    for (const folder of [left, fresh]) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'model.gguf.part'), 'half');
    }
    const longAgo = new Date(Date.now() - 3_600_000);
    utimesSync(join(left, 'model.gguf.part'), longAgo, longAgo);
    const { port, at } = await host();
    expect(readdirSync(uploads)).toEqual(['fresh']);
    const head = Object.entries({ ...at, 'content-length': '1000000' }).map(([name, value]) => `${name}: ${value}\r\n`);
    for (const path of ['/upload?name=a.jsonl', '/upload-folder?name=f&files=[{"name":"a.json","bytes":1000000}]']) {
      const sender = connect(port, '127.0.0.1').on('error', () => undefined);
      sender.write(`POST ${encodeURI(path)} HTTP/1.1\r\n${head.join('')}\r\n${'x'.repeat(1000)}`);
      await expect.poll(() => readdirSync(uploads)).toHaveLength(2);
      sender.destroy();
      await expect.poll(() => readdirSync(uploads)).toEqual(['fresh']);
    }
  });
});
