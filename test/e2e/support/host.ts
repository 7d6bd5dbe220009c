import { trainerProcess } from '../../../src-main/studio/runs/trainer-process.ts';
import { openStudio } from '../../../src-main/studio/studio.ts';
import { startWebHost } from '../../../src-main/web.ts';
import { ensureRenderer } from '../../../src-main/web/build.ts';
import { keepToken } from './token.ts';

// The web host as `effilora studio` starts it, in a process that a test can kill: data folder, port
// and the checkout's folder are its arguments. It is built before (test/support/processes.ts).
const [dataFolder, port, root] = process.argv.slice(2);
const rendererFolder = await ensureRenderer(root!, console.error);
keepToken(dataFolder!);
const studio = openStudio({ dataFolder: dataFolder!, trainer: trainerProcess, folders: [dataFolder!] });
const web = await startWebHost({ studio, rendererFolder, port: Number(port) });
process.send!({ url: new URL(web.url).origin });
process.once('SIGTERM', () => void web.close().then(() => studio.close().then(() => process.exit(0))));
process.once('disconnect', () => process.exit(0));
