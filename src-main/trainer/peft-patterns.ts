import vm from 'node:vm';
import { UserError } from '../engine/types.ts';
import type { PeftConfig } from './peft-config.ts';

/** What PEFT makes of one module of the model. */
export interface PeftModule {
  isTarget: boolean;
  rank: number;
  alpha: number;
}

/** A pattern of the file may be made to search for years; this long, in ms, all of them together may. */
const MOST_TIME = 1000;

/**
 * Which of these modules PEFT adapts, at which rank and alpha: its rules for target_modules, exclude_modules,
 * layers_to_transform, rank_pattern and alpha_pattern (peft, check_target_module_exists and get_pattern_key).
 * @param modules full names, e.g. `model.layers.0.self_attn.q_proj`
 * @throws UserError for a pattern that is no regular expression, or takes too long
 */
export function peftModules(config: PeftConfig, modules: string[], file: string): PeftModule[] {
  const { target_modules: targets, exclude_modules: excluded, rank_pattern: ranks, alpha_pattern: alphas } = config;
  const rankKeys = Object.keys(ranks ?? {});
  const alphaKeys = Object.keys(alphas ?? {});
  const whole = (pattern: string) => `^(?:${pattern})$`;
  const ending = (pattern: string) => `^(.*\\.)?(${pattern})$`;
  const layerPatterns = [config.layers_pattern ?? []].flat().map((pattern) => `^(?:|.*?\\.)${pattern}\\.(\\d+)\\.`);
  const patterns = [
    typeof targets === 'string' && !isAllLinear(targets) ? whole(targets) : '',
    typeof excluded === 'string' && excluded ? whole(excluded) : '^(?!)',
    ...rankKeys.map(ending),
    ...alphaKeys.map(ending),
    ...(layerPatterns.length ? layerPatterns : ['^.*?\\.[^.]*\\.(\\d+)\\.']),
  ];
  const found = matches(patterns, modules, file);
  return modules.map((name, index): PeftModule => {
    const row = found[index]!;
    const rankKey = rankKeys.find((_, i) => row[2 + i]);
    const alphaKey = alphaKeys.find((_, i) => row[2 + rankKeys.length + i]);
    const layer = row
      .slice(2 + rankKeys.length + alphaKeys.length)
      .find(Boolean)
      ?.at(-1);
    const isExcluded = Array.isArray(excluded) ? isNamed(excluded, name) : row[1] !== null;
    return {
      isTarget: !isExcluded && isTarget(config, name, row[0] !== null, layer),
      rank: rankKey === undefined ? config.r : ranks![rankKey]!,
      alpha: alphaKey === undefined ? config.lora_alpha : alphas![alphaKey]!,
    };
  });
}

/** PEFT's default for the families that are read. */
const DEFAULT_TARGETS = ['q_proj', 'v_proj'];
const isAllLinear = (targets: string) => targets.toLowerCase() === 'all-linear';
const isNamed = (names: string[], name: string) => names.some((each) => name === each || name.endsWith(`.${each}`));

function isTarget(config: PeftConfig, name: string, matched: boolean, layer: string | undefined): boolean {
  const targets = config.target_modules ?? DEFAULT_TARGETS;
  if (typeof targets === 'string') return matched;
  if (targets.includes(name)) return true;
  if (!isNamed(targets, name)) return false;
  const layers = config.layers_to_transform ?? [];
  if (Array.isArray(layers) && layers.length === 0) return true;
  return layer !== undefined && [layers].flat().includes(Number(layer));
}

/** The groups of each pattern in each name, null where it doesn't match; in a sandbox, as only that can be stopped. */
function matches(patterns: string[], names: string[], file: string): (string[] | null)[][] {
  const context = { sources: patterns.map((pattern) => javaScriptPattern(pattern, file)), names, found: '' };
  const program = `found = JSON.stringify(names.map((name) => sources.map(([source, flags]) => name.match(new RegExp(source, flags)))))`;
  try {
    vm.runInNewContext(program, context, { timeout: MOST_TIME });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new UserError(`${file}: its patterns of modules take too long to search; name the modules in a list`);
  }
  return JSON.parse(context.found) as (string[] | null)[][];
}

/** Python's regular expression as JavaScript's: source and flags. */
function javaScriptPattern(pattern: string, file: string): [string, string] {
  const ignoresCase = pattern.includes('(?i)');
  const source = pattern
    .replaceAll('(?i)', '')
    .replaceAll('(?P<', '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('\\A', '^')
    .replaceAll('\\Z', '$');
  const flags = ignoresCase ? 'i' : '';
  try {
    new RegExp(source, flags);
  } catch (error) {
    throw new UserError(`${file}: the pattern "${pattern.slice(0, 80)}" can't be read (${(error as Error).message})`);
  }
  return [source, flags];
}
