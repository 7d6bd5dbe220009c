import { parseExpression, parseFilter, parseTuple } from './expressions.ts';
import { JinjaError } from './budget.ts';
import { parseFor } from './for.ts';
import { parseCallBlock, parseMacro } from './macro.ts';
import { captured } from './scope.ts';
import type { Expression, ParseBody, Statement } from './scope.ts';
import { assign, parseTarget } from './target.ts';
import { str } from './text.ts';
import type { Tokens } from './tokens.ts';
import { truthy } from './values.ts';

/** Statements one after the other. */
function all(statements: Statement[]): Statement {
  return (scope, output) => {
    for (const statement of statements) {
      const signal = statement(scope, output);
      if (signal) return signal;
    }
    return undefined;
  };
}

/** Reads up to a tag of one of these names, which is passed by as far as its name. Without names: to the template's end. */
export function parseBody(tokens: Tokens, ...ends: string[]): Statement {
  const statements: Statement[] = [];
  for (;;) {
    if (tokens.is('end')) {
      if (ends.length > 0) tokens.fail(`expected ${ends.join(' or ')}`);
      return all(statements);
    }
    if (tokens.is('block') && ends.includes(tokens.ahead.text)) {
      tokens.next();
      return all(statements);
    }
    statements.push(parsePiece(tokens));
  }
}

/** A body with its closing tag. */
function parseClosed(tokens: Tokens, end: string): Statement {
  tokens.expect('blockEnd');
  const body = parseBody(tokens, end);
  tokens.next();
  return body;
}

function parsePiece(tokens: Tokens): Statement {
  const { kind, text } = tokens.next();
  if (kind === 'data')
    return (scope, output) => {
      scope.run.budget.characters(text.length);
      output.write(text);
      return undefined;
    };
  if (kind === 'variable') {
    const value = parseTuple(tokens);
    tokens.expect('variableEnd');
    return (scope, output) => {
      const shown = str(value(scope), scope.run.budget);
      scope.run.budget.characters(shown.length);
      output.write(shown);
      return undefined;
    };
  }
  const name = tokens.expect('name').text;
  const parse = Object.hasOwn(STATEMENTS, name) ? STATEMENTS[name] : undefined;
  if (!parse)
    throw new JinjaError(`the statement "${name}" is not supported in chat templates (line ${tokens.current.line})`);
  const statement = parse(tokens, parseBody);
  tokens.expect('blockEnd');
  return statement;
}

function parseIf(tokens: Tokens): Statement {
  const branches: { test?: Expression; body: Statement }[] = [];
  let test: Expression | undefined = parseTuple(tokens, { conditional: false });
  for (;;) {
    tokens.expect('blockEnd');
    branches.push({ test, body: parseBody(tokens, 'elif', 'else', 'endif') });
    const next = tokens.next().text;
    if (next === 'endif') break;
    if (!test) tokens.fail('expected endif');
    test = next === 'elif' ? parseTuple(tokens, { conditional: false }) : undefined;
  }
  return (scope, output) => {
    scope.run.budget.spend(1);
    for (const branch of branches) if (!branch.test || truthy(branch.test(scope))) return branch.body(scope, output);
    return undefined;
  };
}

/** What a block wrote, under a name that no template can say. */
const WRITTEN = 'what the block wrote';
const written: Expression = (scope) => scope.get(WRITTEN);

function parseSet(tokens: Tokens): Statement {
  const target = parseTarget(tokens);
  if (tokens.skip('operator', '=')) {
    const value = parseTuple(tokens);
    return (scope) => {
      scope.run.budget.spend(1);
      assign(target, value(scope), scope);
      return undefined;
    };
  }
  // {% set name | filter %}…{% endset %}: the filters work on what the block writes.
  let filtered: Expression = written;
  while (tokens.is('operator', '|')) filtered = parseFilter(tokens, filtered);
  const body = parseClosed(tokens, 'endset');
  return (scope) => {
    const inner = scope.inner();
    inner.set(WRITTEN, captured(body, inner));
    assign(target, filtered(inner), scope);
    return undefined;
  };
}

function parseFilterBlock(tokens: Tokens): Statement {
  let filtered = parseFilter(tokens, written);
  while (tokens.is('operator', '|')) filtered = parseFilter(tokens, filtered);
  const body = parseClosed(tokens, 'endfilter');
  return (scope, output) => {
    const inner = scope.inner();
    inner.set(WRITTEN, captured(body, inner));
    output.write(str(filtered(inner), scope.run.budget));
    return undefined;
  };
}

function parseWith(tokens: Tokens): Statement {
  const set: { target: ReturnType<typeof parseTarget>; value: Expression }[] = [];
  while (!tokens.is('blockEnd')) {
    const target = parseTarget(tokens, false);
    tokens.expect('operator', '=');
    set.push({ target, value: parseExpression(tokens) });
    if (!tokens.skip('operator', ',')) break;
  }
  const body = parseClosed(tokens, 'endwith');
  return (scope, output) => {
    const inner = scope.inner();
    // All values are worked out in the scope around.
    const values = set.map(({ value }) => value(scope));
    set.forEach(({ target }, i) => assign(target, values[i]!, inner));
    return body(inner, output);
  };
}

/** transformers' own: what stands inside is what the model is to say. */
function parseGeneration(tokens: Tokens): Statement {
  const body = parseClosed(tokens, 'endgeneration');
  return (scope, output) => {
    const text = captured(body, scope.inner());
    if (output === scope.run.output) scope.run.generated.push([output.length, output.length + text.length]);
    output.write(text);
    return undefined;
  };
}

/** {% autoescape %} changes nothing here: chat templates are texts, not pages. */
function parseAutoescape(tokens: Tokens): Statement {
  if (!tokens.skip('name', 'false', 'False')) tokens.fail('autoescape can be false alone');
  return parseClosed(tokens, 'endautoescape');
}

const STATEMENTS: Record<string, (tokens: Tokens, parseBody: ParseBody) => Statement> = {
  if: parseIf,
  for: parseFor,
  set: parseSet,
  macro: parseMacro,
  call: parseCallBlock,
  filter: parseFilterBlock,
  with: parseWith,
  generation: parseGeneration,
  autoescape: parseAutoescape,
  break: () => () => 'break',
  continue: () => () => 'continue',
};
