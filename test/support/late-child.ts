import { setTimeout as wait } from 'node:timers/promises';
import { openPort } from '../../src-main/engine/port.ts';

// A process of ours whose parent goes while it is still loading: it looks for its parent when that is gone.
const stillThere = setInterval(() => {}, 1e6);
while (process.connected) await wait(10);
openPort().onClose(() => {
  clearInterval(stillThere);
  process.exitCode = 7;
});
