import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import type { Tokens } from './tokens.ts';
import { Undefined } from './values.ts';
import type { Value } from './values.ts';

/** Where a piece of a template writes to. */
export class Output {
  readonly parts: string[] = [];
  length = 0;

  write(text: string): void {
    this.parts.push(text);
    this.length += text.length;
  }

  get text(): string {
    return this.parts.join('');
  }
}

/** One rendering. */
export interface Run {
  budget: Budget;
  /** the template's own output, and where its generation blocks stand in it */
  output: Output;
  generated: [from: number, to: number][];
}

/** Names and what they stand for: those set here, then those of the scopes around. */
export class Scope {
  readonly #names = new Map<string, Value>();

  constructor(
    readonly run: Run,
    readonly parent?: Scope,
  ) {}

  get(name: string): Value {
    for (let scope: Scope | undefined = this as Scope; scope; scope = scope.parent) {
      const value = scope.#names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  inner(): Scope {
    return new Scope(this.run, this);
  }
}

/** An expression that was read, ready to be worked out. */
export type Expression = (scope: Scope) => Value;
/** A piece of a template that was read, ready to be written; says where a loop is left or goes on. */
export type Statement = (scope: Scope, output: Output) => 'break' | 'continue' | undefined;
/** Reads a template up to a tag of one of these names. */
export type ParseBody = (tokens: Tokens, ...ends: string[]) => Statement;

/** What a body writes, as text. */
export function captured(body: Statement, scope: Scope): string {
  const output = new Output();
  if (body(scope, output)) throw new JinjaError('break and continue stand outside of a loop');
  scope.run.budget.characters(output.length);
  return output.text;
}
