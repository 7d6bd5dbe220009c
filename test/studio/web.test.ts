import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { Contract } from '../../src-preload/contract/index.ts';
import { startWebHost } from '../../src-main/web.ts';
import type { WebHost } from '../../src-main/web.ts';
import { openTestStudio, player, scratchFolder } from './support/studio.ts';

let scratch: ReturnType<typeof scratchFolder>;
let closers: (() => Promise<void>)[];
beforeEach(() => {
  scratch = scratchFolder();
  closers = [];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
  scratch.remove();
});

async function host(options: { host?: string } = {}): Promise<WebHost & { port: number }> {
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
  return { ...web, port: Number(new URL(web.url).port) };
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

describe('web host', () => {
  it('listens on loopback only, and serves the page with a strict policy', async () => {
    const { port, url, links } = await host();
    expect(url).toBe(`http://127.0.0.1:${port}`);
    expect(links).toEqual([]);
    const page = await ask(port, '/', { host: `127.0.0.1:${port}`, accept: 'text/html' });
    expect(page).toMatchObject({ status: 200, text: expect.stringContaining('page') });
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe/);
    // An address of the page's own router gives the page; a file that isn't there doesn't.
    expect((await ask(port, '/runs/1', { host: `localhost:${port}`, accept: 'text/html' })).text).toContain('page');
    expect((await ask(port, '/assets/none.js', { host: `localhost:${port}` })).status).toBe(404);
  });

  it('refuses other names, other origins, and changes without an origin', async () => {
    const { port } = await host();
    const own = `127.0.0.1:${port}`;
    expect((await ask(port, '/', { host: `evil.example:${port}` })).status).toBe(403);
    expect((await ask(port, '/', { host: own, origin: 'http://evil.example' })).status).toBe(403);
    expect((await ask(port, '/upload?name=a.jsonl', { host: own }, 'POST', '{}')).status).toBe(403);
    await expect(socket(port, { host: own, origin: 'http://evil.example' })).rejects.toThrow('403');
    await expect(socket(port, { host: own, origin: `https://127.0.0.1:${port + 1}` })).rejects.toThrow('403');
    await expect(socket(port, { host: own })).rejects.toThrow('403');
    await expect(socket(port, { host: 'evil.example', origin: 'http://evil.example' })).rejects.toThrow('403');
    (await socket(port, { host: own, origin: `http://${own}` })).close();
  });

  it('beyond loopback answers to its token only: link once, then a cookie scripts cannot read', async () => {
    const { port, url } = await host({ host: '0.0.0.0' });
    const at = { host: new URL(url).host };
    const token = new URL(url).searchParams.get('token')!;
    expect(token.length).toBeGreaterThanOrEqual(32);
    expect((await ask(port, '/', at)).status).toBe(401);
    expect((await ask(port, '/?token=wrong', at)).status).toBe(401);
    await expect(socket(port, { ...at, origin: `http://${at.host}` })).rejects.toThrow('401');
    const entered = await ask(port, `/?token=${token}`, at);
    expect(entered).toMatchObject({ status: 303, headers: { location: '/' } });
    const cookie = String((entered.headers['set-cookie'] as string[])[0]);
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
    const carried = { ...at, cookie: cookie.split(';')[0]! };
    expect((await ask(port, '/', carried)).status).toBe(200);
    const opened = await socket(port, { ...carried, origin: `http://${at.host}` });
    const link = new RPCLink({ websocket: opened as unknown as globalThis.WebSocket });
    const client: ContractRouterClient<Contract> = createORPCClient(link);
    // Over the network nobody widens what the studio may read.
    await expect(client.settings.set({ folders: ['/'] })).rejects.toThrow(/only be changed on the machine/);
    expect((await client.settings.set({ theme: 'dark' })).theme).toBe('dark');
    opened.close();
  });

  it('gives no file outside the page and no listing outside the chosen folders', async () => {
    const { port } = await host();
    const at = { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` };
    for (const path of ['/../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt', '/assets/..%5c..%5csecret.txt'])
      expect((await ask(port, path, at)).text).not.toContain('secret');
    symlinkSync('/etc', join(scratch.folder, 'data', 'way-out'));
    const opened = await socket(port, at);
    const client: ContractRouterClient<Contract> = createORPCClient(
      new RPCLink({ websocket: opened as unknown as globalThis.WebSocket }),
    );
    for (const path of ['/etc', `${scratch.folder}/data/../..`, join(scratch.folder, 'data', 'way-out'), 'a\0b'])
      await expect(client.files.browse({ path, show: 'all' })).rejects.toThrow(/outside the folders/);
    const inside = await client.files.browse({ path: join(scratch.folder, 'data'), show: 'datasets' });
    expect(inside.entries.map((entry) => entry.name)).toEqual(['adapters', 'exports', 'runs', 'uploads', 'rows.jsonl']);
    expect(inside.parent).toBeNull();
    opened.close();
  });

  it('keeps an uploaded file under its plain name inside its own folder, and refuses other kinds', async () => {
    const { port } = await host();
    const at = { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` };
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
    const { port } = await host();
    const at = { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` };
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
      [[{ name: 'a.json', bytes: 2 ** 52 }], /doesn't fit on the disk/],
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
});
