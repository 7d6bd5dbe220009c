// A thread whose module is source, named by its first argument: made readable as bin/effilora.mjs makes it, then run.
import { register } from 'tsx/esm/api';

register();
await import(process.argv[2]);
