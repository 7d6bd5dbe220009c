import { bind } from './arguments.ts';
import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { equals } from './compare.ts';
import { keyOf, orElse, Tuple, View } from './values.ts';
import type { Arguments, Value, Dict } from './values.ts';

export const pairs = ({ map }: Dict): Value[] => [...map].map(([key, value]) => new Tuple([key, value]));

/** The methods of dicts that change nothing. */
export const DICT_METHODS: Record<string, (dict: Dict, args: Arguments, budget: Budget) => Value> = {
  get: (dict, args) => {
    const [key, otherwise = null] = bind('get', args, ['key', 'default'], 1);
    return orElse(dict.map.get(keyOf(key!)), () => otherwise);
  },
  keys: ({ map }) => new View('dict_keys', [...map.keys()]),
  values: ({ map }) => new View('dict_values', [...map.values()]),
  items: (dict) => new View('dict_items', pairs(dict)),
  copy: (dict) => dict,
};

/** The methods of lists and tuples that change nothing. */
export const LIST_METHODS: Record<string, (list: Value[], args: Arguments, budget: Budget) => Value> = {
  copy: (list) => list,
  count: (list, args, budget) => {
    const [wanted] = bind('count', args, ['value'], 1);
    return list.filter((item) => equals(item, wanted!, budget)).length;
  },
  index: (list, args, budget) => {
    const [wanted] = bind('index', args, ['value'], 1);
    const at = list.findIndex((item) => equals(item, wanted!, budget));
    if (at < 0) throw new JinjaError('the value is not in the list');
    return at;
  },
};
