import { JinjaError } from './budget.ts';
import { call, parseArguments, parseExpression } from './expressions.ts';
import { getAttribute } from './attributes.ts';
import { captured } from './scope.ts';
import type { Expression, ParseBody, Scope, Statement } from './scope.ts';
import { str } from './text.ts';
import type { Tokens } from './tokens.ts';
import { Callable, Dict, orElse, Tuple, Undefined } from './values.ts';
import type { Arguments, Value } from './values.ts';

interface Parameter {
  name: string;
  otherwise?: Expression;
}

interface Macro {
  name: string;
  parameters: Parameter[];
  /** which of `caller`, `varargs` and `kwargs` its body names */
  uses: Set<string>;
  body: Statement;
}

function parseParameters(tokens: Tokens): Parameter[] {
  const parameters: Parameter[] = [];
  tokens.expect('operator', '(');
  while (!tokens.is('operator', ')')) {
    const name = tokens.expect('name').text;
    const otherwise = tokens.skip('operator', '=') ? parseExpression(tokens) : undefined;
    if (!otherwise && parameters.at(-1)?.otherwise)
      tokens.fail('a parameter without a default stands behind one with it');
    parameters.push({ name, otherwise });
    if (!tokens.skip('operator', ',')) break;
  }
  tokens.expect('operator', ')');
  return parameters;
}

function parseMacroBody(tokens: Tokens, parseBody: ParseBody, end: string): Pick<Macro, 'uses' | 'body'> {
  const from = tokens.place;
  tokens.expect('blockEnd');
  const body = parseBody(tokens, end);
  tokens.next();
  return { body, uses: new Set(['caller', 'varargs', 'kwargs'].filter((name) => tokens.names(from).has(name))) };
}

/** The scope of one call: the parameters by their names. @throws JinjaError for arguments that it doesn't take */
function scopeOf({ name, parameters, uses }: Macro, { positional, named }: Arguments, scope: Scope): Scope {
  const inner = scope.inner();
  if (positional.length > parameters.length && !uses.has('varargs'))
    throw new JinjaError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  const rest = new Map(named);
  const caller = rest.get('caller');
  if (uses.has('caller')) {
    rest.delete('caller');
    inner.set(
      'caller',
      orElse(caller, () => new Undefined('No caller defined')),
    );
  }
  for (const [i, { name: parameter, otherwise }] of parameters.entries()) {
    const value = i < positional.length ? positional[i] : rest.get(parameter);
    if (i < positional.length && rest.has(parameter))
      throw new JinjaError(`macro '${name}' got multiple values for argument '${parameter}'`);
    rest.delete(parameter);
    const missing = () => (otherwise ? otherwise(inner) : new Undefined(`parameter '${parameter}' was not provided`));
    inner.set(parameter, orElse(value, missing));
  }
  if (uses.has('varargs')) inner.set('varargs', new Tuple(positional.slice(parameters.length)));
  if (uses.has('kwargs')) inner.set('kwargs', new Dict(rest));
  else if (rest.size > 0) throw new JinjaError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]!}'`);
  return inner;
}

function callable(macro: Macro, scope: Scope): Callable {
  const { name, parameters, uses } = macro;
  return new Callable(name, (args) => captured(macro.body, scopeOf(macro, args, scope)), {
    name,
    arguments: new Tuple(parameters.map((parameter) => parameter.name)),
    caller: uses.has('caller'),
    catch_kwargs: uses.has('kwargs'),
    catch_varargs: uses.has('varargs'),
  });
}

/** {% macro name(a, b=1) %}…{% endmacro %} */
export function parseMacro(tokens: Tokens, parseBody: ParseBody): Statement {
  const name = tokens.expect('name').text;
  const parameters = parseParameters(tokens);
  const macro = { name, parameters, ...parseMacroBody(tokens, parseBody, 'endmacro') };
  return (scope) => {
    scope.set(name, callable(macro, scope));
    return undefined;
  };
}

/** {% call(a) name(…) %}…{% endcall %}: the macro may write what stands inside by caller(…). */
export function parseCallBlock(tokens: Tokens, parseBody: ParseBody): Statement {
  const parameters = tokens.is('operator', '(') ? parseParameters(tokens) : [];
  const called = tokens.expect('name').text;
  let callee: Expression = (scope) => scope.get(called);
  while (tokens.skip('operator', '.')) {
    const [of, attribute] = [callee, tokens.expect('name').text];
    callee = (scope) => getAttribute(of(scope), attribute);
  }
  const args = parseArguments(tokens);
  const block: Macro = { name: 'caller', parameters, ...parseMacroBody(tokens, parseBody, 'endcall') };
  return (scope, output) => {
    const given = args(scope);
    const caller: Value = callable(block, scope);
    const text = call(callee(scope), { ...given, named: new Map([...given.named, ['caller', caller]]) }, scope);
    output.write(str(text, scope.run.budget));
    return undefined;
  };
}
