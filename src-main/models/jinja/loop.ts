import { bind } from './arguments.ts';
import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { equals } from './compare.ts';
import { Attributes, Callable, orElse, Undefined } from './values.ts';
import type { Arguments, Value } from './values.ts';

/** `loop`, as it stands at one of a loop's items. */
export class Loop {
  index0 = 0;
  #seen: Value[] | undefined;
  readonly value: Attributes;

  constructor(
    readonly items: Value[],
    readonly depth0: number,
    again?: (args: Arguments, budget: Budget) => Value,
  ) {
    this.value = new Attributes(
      'LoopContext',
      (name) => this.#get(name),
      again ??
        (() => {
          throw new JinjaError("the loop must be marked 'recursive' to be called");
        }),
    );
  }

  #get(name: string): Value | undefined {
    const { index0, items, depth0 } = this;
    const { length } = items;
    switch (name) {
      case 'index0':
        return index0;
      case 'index':
        return index0 + 1;
      case 'revindex0':
        return length - index0 - 1;
      case 'revindex':
        return length - index0;
      case 'first':
        return index0 === 0;
      case 'last':
        return index0 === length - 1;
      case 'length':
        return length;
      case 'depth':
        return depth0 + 1;
      case 'depth0':
        return depth0;
      case 'previtem':
        return orElse(items[index0 - 1], () => new Undefined('there is no previous item'));
      case 'nextitem':
        return orElse(items[index0 + 1], () => new Undefined('there is no next item'));
      case 'cycle':
        return new Callable('cycle', ({ positional }) => {
          if (positional.length === 0) throw new JinjaError('no items for cycling given');
          return positional[index0 % positional.length]!;
        });
      case 'changed':
        return new Callable('changed', (args, budget) => this.#changed(args, budget));
    }
    return undefined;
  }

  #changed(args: Arguments, budget: Budget): boolean {
    bind('changed', { ...args, positional: [] }, []);
    const before = this.#seen;
    this.#seen = args.positional;
    return !before || !equals(before, args.positional, budget);
  }
}
