import { parseExpression, parseTuple } from './expressions.ts';
import { Loop } from './loop.ts';
import { Output } from './scope.ts';
import type { Expression, ParseBody, Scope, Statement } from './scope.ts';
import { assign, parseTarget } from './target.ts';
import type { Target } from './target.ts';
import type { Tokens } from './tokens.ts';
import { iterate, truthy, Undefined } from './values.ts';
import type { Value } from './values.ts';

interface For {
  target: Target;
  items: Expression;
  test?: Expression;
  recursive: boolean;
  body: Statement;
  otherwise?: Statement;
}

/** {% for target in items if test recursive %}…{% else %}…{% endfor %} */
export function parseFor(tokens: Tokens, parseBody: ParseBody): Statement {
  const target = parseTarget(tokens);
  tokens.expect('name', 'in');
  const items = parseTuple(tokens, { conditional: false });
  const test = tokens.skip('name', 'if') ? parseExpression(tokens) : undefined;
  const recursive = tokens.skip('name', 'recursive') !== undefined;
  tokens.expect('blockEnd');
  const body = parseBody(tokens, 'else', 'endfor');
  let otherwise: Statement | undefined;
  if (tokens.next().text === 'else') {
    tokens.expect('blockEnd');
    otherwise = parseBody(tokens, 'endfor');
    tokens.next();
  }
  const loop = { target, items, test, recursive, body, otherwise };
  return (scope, output) => run(loop, items(scope), scope, output, 0);
}

function run(loop: For, value: Value, scope: Scope, output: Output, depth: number): undefined {
  const { budget } = scope.run;
  const all = iterate(value, budget);
  const { target, test } = loop;
  const passes = (item: Value) => {
    budget.spend(2);
    const inner = scope.inner();
    inner.set('loop', new Undefined("'loop' is undefined: the filter of a for loop can't see it"));
    assign(target, item, inner);
    return truthy(test!(inner));
  };
  const items = test ? all.filter(passes) : all;
  const again = (inner: Value) => {
    const part = new Output();
    run(loop, inner, scope, part, depth + 1);
    return part.text;
  };
  const state = new Loop(items, depth, loop.recursive ? ({ positional }) => again(positional[0] ?? null) : undefined);
  for (const [index, item] of items.entries()) {
    budget.spend(3);
    state.index0 = index;
    const inner = scope.inner();
    inner.set('loop', state.value);
    assign(target, item, inner);
    if (loop.body(inner, output) === 'break') break;
  }
  if (items.length === 0) loop.otherwise?.(scope.inner(), output);
  return undefined;
}
