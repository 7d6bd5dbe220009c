import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { dataFolder } from '../studio/folders.ts';
import { trainerProcess } from '../studio/runs/trainer-process.ts';
import { stayUp } from '../studio/stay-up.ts';
import { openStudio } from '../studio/studio.ts';
import { within } from '../studio/within.ts';
import { isLoopback, startWebHost } from '../web.ts';
import { ensureRenderer } from '../web/build.ts';

interface StudioFlags {
  host: string;
  port: string;
  folder: string[];
  data: string;
  open: boolean;
}

/** `effilora studio`: opens the studio in the browser, or serves it to others on the network. */
export function studioCommand(program: Command): void {
  program
    .command('studio')
    .description('open the studio in the browser')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port; 0 takes a free one', '4848')
    .option('--folder <path...>', 'folders the studio may read (default: your home folder, on this machine only)', [])
    .option('--data <path>', 'where the library and the runs lie', dataFolder())
    .option('--no-open', "don't open the browser")
    .addHelpText('after', '\nExamples:\n  effilora studio\n  effilora studio --host 0.0.0.0 --folder /data/models')
    .action((flags: StudioFlags) => openInBrowser(flags));
}

async function openInBrowser(flags: StudioFlags): Promise<void> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const rendererFolder = await ensureRenderer(root, (line) => console.error(line));
  const own = isLoopback(flags.host) ? [homedir()] : [];
  const folders = flags.folder.length > 0 ? flags.folder.map((folder) => resolve(folder)) : own;
  const studio = openStudio({ dataFolder: resolve(flags.data), trainer: trainerProcess, folders });
  const listen = (port: number) => startWebHost({ studio, rendererFolder, host: flags.host, port });
  // Another studio, or another program, may have the usual port.
  const web = await listen(Number(flags.port)).catch(() => listen(0));
  console.log(`The studio is open at ${web.url}`);
  for (const link of web.links) console.log(`\nFrom another device:\n${link}\n\n${renderUnicodeCompact(link)}`);
  const door = join(studio.dataFolder, 'open.html');
  const close = async () => {
    rmSync(door, { force: true });
    console.log('\nClosing: a running training writes a checkpoint first.');
    await Promise.all([within(web.close(), CLOSE_MS), within(studio.close(), CLOSE_MS)]);
    process.exit(0);
  };
  process.once('SIGINT', close).once('SIGTERM', close).once('SIGHUP', close);
  stayUp();
  if (flags.open) openBrowser(web.url, door);
}

/** Whatever hangs, the studio ends within so many milliseconds. */
const CLOSE_MS = 10_000;

/**
 * Opens the default browser where there is a display; says nothing where there is none. Everyone on this machine sees what a program
 * is started with, so the link with its token goes by way of a file that only this user can read.
 */
function openBrowser(link: string, door: string): void {
  rmSync(door, { force: true });
  writeFileSync(door, `<!doctype html><meta http-equiv="refresh" content="0;url=${link}">`, { mode: 0o600 });
  const url = pathToFileURL(door).href;
  const hasDisplay = process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'];
  if (process.platform === 'linux' && !hasDisplay) return;
  const [command, args] =
    process.platform === 'win32'
      ? ['cmd', ['/c', 'start', '', url]]
      : [process.platform === 'darwin' ? 'open' : 'xdg-open', [url]];
  spawn(command as string, args as string[], { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
