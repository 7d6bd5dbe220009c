// `npm start`: sets up what is missing, then opens the studio.
import { setUp } from './setup.mjs';

await setUp();
process.argv.splice(2, 0, 'demo');
await import('../src-main/cli.ts');
