import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { trainerProcess } from '../../src-main/studio/runs/trainer-process.ts';
import { openStudio } from '../../src-main/studio/studio.ts';
import { startWebHost } from '../../src-main/web.ts';
import { keepToken } from '../e2e/support/token.ts';

// The web host with its real trainer and helpers, without the page, which nobody looks at here.
const [dataFolder] = process.argv.slice(2);
const rendererFolder = join(dataFolder!, 'page');
mkdirSync(rendererFolder, { recursive: true });
writeFileSync(join(rendererFolder, 'index.html'), '<!doctype html><title>Nothing to see</title>');
keepToken(dataFolder!);
const studio = openStudio({ dataFolder: dataFolder!, trainer: trainerProcess, folders: [dataFolder!] });
const web = await startWebHost({ studio, rendererFolder });
process.send!({ url: new URL(web.url).origin });
process.once('disconnect', () => void studio.close().then(() => process.exit(0)));
