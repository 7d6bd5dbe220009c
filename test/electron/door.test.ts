import { EventEmitter } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { followRuns } from '../../src-main/electron/attention.ts';
import { harden } from '../../src-main/electron/harden.ts';
import { declarePageScheme, PAGE, servePage } from '../../src-main/electron/page.ts';
import { keychainSecret } from '../../src-main/electron/secret.ts';
import { openWindow } from '../../src-main/electron/window.ts';
import type { Studio } from '../../src-main/studio/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

/** As much of Electron as its door touches, by Electron's documentation; the real one is in e2e/electron.test.ts, where it can be had. */
const electron = vi.hoisted(() => ({
  app: undefined as unknown as EventEmitter,
  windows: [] as { options: Record<string, unknown>; window: EventEmitter & { progress?: number; shown?: boolean } }[],
  opened: [] as string[],
  notes: [] as { title: string; body: string }[],
  blocked: new Set<number>(),
  permissions: [] as boolean[],
  headers: {} as Record<string, string[]>,
  schemes: new Map<string, (request: Request) => Promise<Response> | Response>(),
  privileges: [] as string[],
  keychain: true,
}));

vi.mock('electron', async () => {
  const { EventEmitter: Emitter } = await import('node:events');
  const { readFile } = await import('node:fs/promises');
  electron.app = new Emitter();
  class BrowserWindow extends Emitter {
    progress?: number;
    shown = false;
    address?: string;
    constructor(options: Record<string, unknown>) {
      super();
      electron.windows.push({ options, window: this });
    }
    show = () => (this.shown = true);
    maximize = () => undefined;
    isMaximized = () => true;
    getNormalBounds = () => ({ x: 5, y: 6, width: 900, height: 700 });
    setProgressBar = (share: number) => (this.progress = share);
    loadURL = async (address: string) => void (this.address = address);
  }
  class Notification {
    static isSupported = () => true;
    constructor(private readonly note: { title: string; body: string }) {}
    show = () => void electron.notes.push(this.note);
  }
  type Judge = (...given: unknown[]) => unknown;
  const session = {
    setPermissionRequestHandler: (judge: Judge) =>
      judge(undefined, 'media', (granted: boolean) => electron.permissions.push(granted)),
    setPermissionCheckHandler: (judge: Judge) => electron.permissions.push(judge() as boolean),
    webRequest: {
      onHeadersReceived: (judge: Judge) =>
        judge({ responseHeaders: {} }, (answer: { responseHeaders: Record<string, string[]> }) => {
          electron.headers = answer.responseHeaders;
        }),
    },
  };
  return {
    app: electron.app,
    BrowserWindow,
    Notification,
    session: { defaultSession: session },
    shell: { openExternal: async (address: string) => void electron.opened.push(address) },
    powerSaveBlocker: {
      start: () => (electron.blocked.add(7), 7),
      stop: (id: number) => electron.blocked.delete(id),
    },
    protocol: {
      registerSchemesAsPrivileged: (schemes: { scheme: string }[]) =>
        electron.privileges.push(...schemes.map(({ scheme }) => scheme)),
      handle: (scheme: string, answer: (request: Request) => Response) => electron.schemes.set(scheme, answer),
    },
    net: { fetch: async (address: string) => new Response(await readFile(new URL(address))) },
    safeStorage: {
      isEncryptionAvailable: () => electron.keychain,
      encryptString: (text: string) => Buffer.from(text).map((byte) => byte ^ 0x5a),
      decryptString: (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 0x5a)).toString(),
    },
  };
});

const scratch = scratchFolder();
afterAll(() => scratch.remove());
const at = (name: string) => join(scratch.folder, name);

describe('Electron’s door, before a stand-in', () => {
  it('opens a window without Node, in a sandbox of its own, where it was left', () => {
    writeFileSync(at('window.json'), '{"width": 20');
    const first = openWindow(scratch.folder, '/preload.cjs');
    const { options } = electron.windows.at(-1)!;
    expect(options).toMatchObject({ width: 1360, height: 900, show: false });
    expect(options['webPreferences']).toMatchObject({ contextIsolation: true, sandbox: true, nodeIntegration: false });
    expect((first as unknown as { address: string }).address).toBe(PAGE);
    first.emit('ready-to-show');
    expect(electron.windows.at(-1)!.window.shown).toBe(true);
    first.emit('close');
    openWindow(scratch.folder, '/preload.cjs');
    expect(electron.windows.at(-1)!.options).toMatchObject({ x: 5, y: 6, width: 900, height: 700 });
  });

  it('denies navigation, windows, embedded pages and permissions, and sends web addresses to the browser', () => {
    harden();
    const contents = Object.assign(new EventEmitter(), {
      setWindowOpenHandler: (open: (details: { url: string }) => { action: string }) => {
        expect(open({ url: 'https://arxiv.org/abs/2512.00878' })).toEqual({ action: 'deny' });
        expect(open({ url: 'file:///etc/passwd' })).toEqual({ action: 'deny' });
      },
    });
    electron.app.emit('web-contents-created', {}, contents);
    expect(electron.opened).toEqual(['https://arxiv.org/abs/2512.00878']);
    for (const name of ['will-navigate', 'will-attach-webview']) {
      const event = { preventDefault: vi.fn() };
      contents.emit(name, event);
      expect(event.preventDefault).toHaveBeenCalled();
    }
    expect(electron.permissions).toEqual([false, false]);
    expect(electron.headers['Content-Security-Policy']![0]).toMatch(/default-src 'none'|default-src 'self'/);
    expect(electron.headers['Content-Security-Policy']![0]).not.toContain('unsafe-eval');
  });

  it('serves the page’s files under a scheme of its own, and nothing outside their folder', async () => {
    declarePageScheme();
    expect(electron.privileges).toEqual(['effilora']);
    mkdirSync(at('page'));
    writeFileSync(at('page/index.html'), 'the page');
    writeFileSync(at('secret.txt'), 'a secret');
    servePage(at('page'));
    const get = async (address: string) => electron.schemes.get('effilora')!(new Request(address));
    expect(await (await get(PAGE)).text()).toBe('the page');
    expect((await get('effilora://studio/%2e%2e%2fsecret.txt')).status).toBe(404);
    expect((await get('effilora://studio/..%2F..%2Fetc/passwd')).status).toBe(404);
  });

  it('keeps the hub token by the system’s keychain, else in a file of the user’s own', async () => {
    const kept = keychainSecret(scratch.folder);
    await kept.write('hf_abc');
    expect(readFileSync(at('hub-token.encrypted'), 'utf8')).not.toContain('hf_abc');
    expect(statSync(at('hub-token.encrypted')).mode & 0o077).toBe(0);
    expect(await keychainSecret(scratch.folder).read()).toBe('hf_abc');
    await kept.write('');
    expect(await kept.read()).toBeUndefined();
    electron.keychain = false;
    await keychainSecret(scratch.folder).write('hf_def');
    expect(await keychainSecret(scratch.folder).read()).toBe('hf_def');
  });
});

describe('a run, seen from the desktop', () => {
  const queue = new EventEmitter();
  let runs: { status: string; step: number; steps: number }[] = [];
  let notify = true;
  const studio = { queue, runs: { list: () => runs }, settings: { values: () => ({ notify }) } } as unknown as Studio;
  const window = { setProgressBar: vi.fn() };
  beforeEach(() => {
    queue.removeAllListeners();
    electron.notes.length = 0;
    followRuns(studio, () => window as never);
  });

  it('shows its progress and keeps the machine awake until it ends', () => {
    runs = [{ status: 'running', step: 15, steps: 60 }];
    queue.emit('change');
    expect(window.setProgressBar).toHaveBeenLastCalledWith(0.25);
    expect(electron.blocked.size).toBe(1);
    runs = [{ status: 'finished', step: 60, steps: 60 }];
    queue.emit('change');
    expect(window.setProgressBar).toHaveBeenLastCalledWith(-1);
    expect(electron.blocked.size).toBe(0);
  });

  it('says that it ended, and why, unless the user wants no notifications', () => {
    queue.emit('ended', { name: 'First', status: 'failed', message: 'The disk is full.' });
    expect(electron.notes).toEqual([{ title: 'First: failed', body: 'The disk is full.' }]);
    notify = false;
    queue.emit('ended', { name: 'Second', status: 'finished' });
    expect(electron.notes).toHaveLength(1);
  });
});
