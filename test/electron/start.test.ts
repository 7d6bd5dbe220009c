import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';

/** Electron and the studio behind its door, as far as starting, closing and quitting go. */
const fake = vi.hoisted(() => ({
  app: undefined as unknown as EventEmitter & { quit: ReturnType<typeof vi.fn> },
  isFirst: true,
  windows: [] as EventEmitter[],
  shown: 0,
  trays: 0,
  trayItems: [] as string[],
  runs: [] as { status: string }[],
  keepRunning: true,
  studioOpened: 0,
  closed: vi.fn(async () => undefined),
}));

vi.mock('electron', async () => {
  const { EventEmitter: Emitter } = await import('node:events');
  class Tray {
    constructor() {
      fake.trays++;
    }
    setToolTip = () => undefined;
    setContextMenu = (items: { label: string }[]) => (fake.trayItems = items.map(({ label }) => label));
  }
  fake.app = Object.assign(new Emitter(), {
    quit: vi.fn(),
    requestSingleInstanceLock: () => fake.isFirst,
    whenReady: async () => undefined,
  });
  return {
    app: fake.app,
    dialog: {},
    ipcMain: Object.assign(new Emitter(), { handle: () => undefined }),
    Menu: { buildFromTemplate: (items: unknown[]) => items },
    MessageChannelMain: class {},
    Tray,
  };
});
vi.mock('../../src-main/studio/studio.ts', () => ({
  openStudio: () => {
    fake.studioOpened++;
    return {
      dataFolder: '/data',
      runs: { list: () => fake.runs },
      settings: { values: () => ({ keepRunning: fake.keepRunning }) },
      close: fake.closed,
    };
  },
}));
vi.mock('../../src-main/studio/router.ts', () => ({ createRouter: () => ({}) }));
vi.mock('../../src-main/studio/runs/trainer-process.ts', () => ({ trainerStartedBy: () => undefined }));
for (const [file, functions] of Object.entries({
  attention: ['followRuns'],
  harden: ['harden'],
  menu: ['setMenu'],
  page: ['declarePageScheme', 'isOwnPage', 'servePage'],
  secret: ['keychainSecret'],
  utility: ['utility'],
}))
  vi.doMock(`../../src-main/electron/${file}.ts`, () => ({
    ...Object.fromEntries(functions.map((name) => [name, () => undefined])),
  }));
vi.doMock('../../src-main/electron/window.ts', () => ({
  openWindow: () => {
    const window = Object.assign(new EventEmitter(), { show: () => fake.shown++ });
    fake.windows.push(window);
    return window;
  },
}));

async function start(): Promise<void> {
  await import('../../src-main/index.ts');
  await Promise.resolve();
}

describe('the studio under Electron', () => {
  beforeEach(() => {
    vi.resetModules();
    Object.assign(fake, {
      windows: [],
      shown: 0,
      trays: 0,
      runs: [],
      keepRunning: true,
      isFirst: true,
      studioOpened: 0,
    });
    fake.closed.mockClear();
    fake.app?.removeAllListeners();
    fake.app?.quit.mockClear();
  });

  it('opens once: a second start shows the window of the first', async () => {
    await start();
    expect(fake.windows).toHaveLength(1);
    fake.app.emit('second-instance');
    expect(fake.windows).toHaveLength(1);
    expect(fake.shown).toBe(2);
    fake.windows[0]!.emit('closed');
    fake.app.emit('activate');
    expect(fake.windows).toHaveLength(2);
  });

  it('leaves at once where another studio has the library', async () => {
    fake.isFirst = false;
    await start();
    expect(fake.app.quit).toHaveBeenCalled();
    expect(fake.studioOpened).toBe(0);
  });

  it('goes on training in the tray when its window is closed, where the user wants that', async () => {
    await start();
    fake.runs = [{ status: 'running' }];
    fake.app.emit('window-all-closed');
    expect(fake.app.quit).not.toHaveBeenCalled();
    expect(fake.trayItems).toEqual(['Open the studio', 'Pause and quit']);
    fake.app.emit('window-all-closed');
    expect(fake.trays).toBe(1);
    fake.keepRunning = false;
    fake.app.emit('window-all-closed');
    expect(fake.app.quit).toHaveBeenCalledOnce();
  });

  it('closes the studio before it quits, once', async () => {
    await start();
    const event = { preventDefault: vi.fn() };
    fake.app.emit('before-quit', event);
    fake.app.emit('before-quit', event);
    expect(event.preventDefault).toHaveBeenCalledOnce();
    await vi.waitFor(() => expect(fake.app.quit).toHaveBeenCalledOnce());
    expect(fake.closed).toHaveBeenCalledOnce();
  });
});
