// `npm start`: sets up what is missing, then opens the studio.
import { setUp } from './setup.mjs';

await setUp();
const { runCommandLine } = await import('../src-main/cli.ts');
process.exitCode = await runCommandLine(['studio', ...process.argv.slice(2)]);
