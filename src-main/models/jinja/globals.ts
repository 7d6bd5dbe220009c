import { bind, text, whole } from './arguments.ts';
import { JinjaError } from './budget.ts';
import { strftime } from './strftime.ts';
import { Attributes, Callable, Dict, iterate, Namespace, Tuple } from './values.ts';
import type { Arguments, Value } from './values.ts';
import type { Budget } from './budget.ts';

/** Numbers of one range() at most: as Jinja's sandbox has it. */
const MOST_IN_RANGE = 100_000;

function range(args: Arguments, budget: Budget): Value {
  const [first, second, third] = bind('range', args, ['start', 'stop', 'step'], 1);
  const [start, stop] = second === undefined ? [0, whole('range', first, 0)] : [whole('range', first, 0), whole('range', second, 0)]; // prettier-ignore
  const step = whole("range's step", third, 1);
  if (step === 0) throw new JinjaError('range() arg 3 must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MOST_IN_RANGE)
    throw new JinjaError(`a range of ${length} numbers is too large (${MOST_IN_RANGE} at most)`);
  budget.items(length);
  return new Tuple(
    Array.from({ length }, (_, i) => start + i * step),
    'range',
  );
}

function dict({ positional, named }: Arguments, budget: Budget): Dict {
  const [from] = positional;
  const given = from instanceof Dict ? [...from.map] : from === undefined ? [] : iterate(from, budget).map((pair) => iterate(pair, budget)); // prettier-ignore
  budget.items(4 * (given.length + named.size));
  return new Dict([...given, ...named] as [Value, Value][]);
}

function namespace(args: Arguments, budget: Budget): Namespace {
  const made = new Namespace();
  for (const [name, value] of dict(args, budget).map) setAttribute(made, String(name), value);
  return made;
}

/** @throws JinjaError for names that no namespace may hold */
export function setAttribute(to: Namespace, name: string, value: Value): void {
  if (name.startsWith('_'))
    throw new JinjaError(`a namespace holds no name that begins with an underscore, such as "${name}"`);
  to.map.set(name, value);
}

function cycler({ positional }: Arguments): Value {
  let at = 0;
  const next = new Callable('next', () => positional[at++ % positional.length] ?? null);
  const reset = new Callable('reset', () => ((at = 0), null));
  return new Attributes('Cycler', (name) => {
    if (name === 'current') return positional[at % positional.length];
    return { next, reset }[name];
  });
}

function joiner(args: Arguments): Value {
  const [separator = ', '] = bind('joiner', args, ['sep']);
  let used = false;
  return new Callable('joiner', () => (used ? separator : ((used = true), '')));
}

const named = (name: string, call: (args: Arguments, budget: Budget) => Value): [string, Value] => [
  name,
  new Callable(name, call),
];

/** What every template finds: Jinja's globals, and those that transformers gives. */
export const globals = (now: Date): Map<string, Value> =>
  new Map([
    named('range', range),
    named('dict', dict),
    named('namespace', namespace),
    named('cycler', cycler),
    named('joiner', joiner),
    named('raise_exception', (args) => {
      throw new JinjaError(text('the message', bind('raise_exception', args, ['message'], 1)[0]));
    }),
    named('strftime_now', (args) => strftime(text('the format', bind('strftime_now', args, ['format'], 1)[0]), now)),
  ]);
