// Preloaded into the processes of a test by trainer-moment.ts: the trainer among them signals itself at a moment of its run.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import fsp from 'node:fs/promises';

const { EFFILORA_TEST_MOMENT: moment, EFFILORA_TEST_MARK: mark } = process.env;
const { signal, kind, step, opening } = JSON.parse(moment);

/** Once: a trainer that is started after it goes past. */
function meet() {
  if (existsSync(mark)) return;
  writeFileSync(`${mark}.partial`, String(process.pid));
  renameSync(`${mark}.partial`, mark);
  process.kill(process.pid, signal);
}

function meetOpening() {
  const { open } = fsp;
  fsp.open = (file, ...more) => {
    if (String(file).endsWith(opening)) meet();
    return open(file, ...more);
  };
}

if (/trainer\/process\.ts$|\/process\.js$/.test(process.argv[1])) {
  const send = process.send.bind(process);
  process.send = (message, sent) => {
    const event = message?.event;
    const isMoment = event?.kind === kind && (event.step ?? event.line?.step) === step;
    if (!isMoment) return send(message, sent);
    if (opening) meetOpening();
    // One that stands still has told of it; one that is killed is gone before it does anything else.
    const isOut = send(message, (error) => {
      sent(error);
      if (signal === 'SIGSTOP') meet();
    });
    if (signal === 'SIGKILL' && !opening) meet();
    return isOut;
  };
}
