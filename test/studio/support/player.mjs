// A stand-in for the trainer in tests of what lies above it: writes a run's files (docs/method.md, Run files), line by line,
// from numbers that a formula gives, so that a test knows every line. Messages: 'pause', 'stop', {ratio}, and 'go' to one that stands still.
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const [folder, stepsText, paceText, holdText] = process.argv.slice(2);
const steps = Number(stepsText);
const paceMs = Number(paceText);
const holdAt = Number(holdText);
const SITES = ['q_proj', 'v_proj'];
const heads = [0, 1].flatMap((layer) => SITES.flatMap((site) => [0, 1, 2].map((head) => `${layer}.${site}.${head}`)));

export const lossAt = (step) => 4 * Math.exp(-step / 40) + 0.5;
const metrics = join(folder, 'metrics.jsonl');
const done = existsSync(metrics) ? readFileSync(metrics, 'utf8').trimEnd().split('\n').length : 0;
// As the trainer does: back to the last checkpoint (here: every tenth step).
let step = Math.floor(done / 10) * 10;
if (done > 0) for (const name of ['metrics.jsonl', 'heads.jsonl']) cut(join(folder, name), step);
function cut(path, lines) {
  const text = readFileSync(path, 'utf8').split('\n').slice(0, lines).join('\n');
  truncateSync(path, Buffer.byteLength(text) + (lines > 0 ? 1 : 0));
}

let ratio = 0.5;
const end = (outcome) => process.send({ kind: 'end', outcome }, () => process.exit(0));
process.on('message', (message) => {
  if (message === 'pause') end('paused');
  else if (message === 'stop') end('stopped');
  else if (message === 'go') play();
  else ratio = message.ratio;
});
process.once('disconnect', () => process.exit(0));

function play() {
  step += 1;
  const record = {
    step,
    loss: lossAt(step),
    learningRate: 1e-3,
    gradNorm: 1,
    tokensPerSecond: 100,
    secondsLeft: steps - step,
  };
  appendFileSync(
    metrics,
    `${JSON.stringify(step % 10 === 0 ? { ...record, evalLoss: lossAt(step) + 0.1 } : record)}\n`,
  );
  const importance = Object.fromEntries(heads.map((name, index) => [name, (index + 1) * 1e-4 * lossAt(step)]));
  const frozen = step > 20 ? heads.slice(0, Math.floor(heads.length * ratio)) : [];
  const routerShare = Object.fromEntries(heads.map((name) => [name, 1 / 3]));
  appendFileSync(join(folder, 'heads.jsonl'), `${JSON.stringify({ step, importance, frozen, routerShare })}\n`);
  if (step >= steps) end('finished');
  else if (step !== holdAt) setTimeout(play, paceMs);
}
setTimeout(play, paceMs);
