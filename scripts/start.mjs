// `npm start`: sets up what is missing, then opens the studio: in its own window where Electron can be had, else in the browser.
// What is given behind `npm start --` goes to `effilora studio`, which serves it to a browser.
import { root, setUp } from './setup.mjs';

await setUp();
const args = process.argv.slice(2);
const { openInElectron } = await import('../src-main/electron/launch.ts');
if (args.length > 0 || !(await openInElectron(root, (line) => console.error(line)))) {
  const { runCommandLine } = await import('../src-main/cli.ts');
  process.exitCode = await runCommandLine(['studio', ...args]);
}
