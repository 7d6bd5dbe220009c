/** 1536 -> "1.5 KiB" */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** power;
  return `${amount >= 100 || power === 0 ? WHOLE.format(amount) : decimal(amount, 1)} ${units[power]}`;
}

/** 134515008 -> "135M" */
export function count(value: number): string {
  for (const [size, unit] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (value >= size) return `${THREE_DIGITS.format(value / size)}${unit}`;
  return WHOLE.format(value);
}

/** 5400 -> "1 h 30 min" */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(time: number, now = Date.now()): string {
  const seconds = (now - time) / 1000;
  if (seconds < 45) return 'just now';
  if (seconds < 86_400) return `${duration(seconds)} ago`;
  return new Date(time).toLocaleDateString(undefined, { dateStyle: 'medium' });
}

export function number(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return value !== 0 && Math.abs(value) < 1e-3 ? scientific(value, 3) : digitsOf(value, digits);
}

/** 0.0008 -> "0.0008", 0.00008 -> "8×10⁻⁵", 12000 -> "12,000": as a chart's axis has it. */
export function axisLabel(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e6)) return scientific(value, 4);
  return FOUR_DIGITS.format(value);
}

/** 3.14159 -> "3.1" or, where people write so, "3,1"; always with that many decimals. */
export function decimal(value: number, decimals: number): string {
  return kept(`decimals ${decimals}`, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(
    value,
  );
}

/** 0.256 -> "25.6 %" */
export function percent(share: number, decimals = 0): string {
  return `${decimal(share * 100, decimals)} %`;
}

function digitsOf(value: number, digits: number): string {
  return kept(`digits ${digits}`, { minimumSignificantDigits: digits, maximumSignificantDigits: digits }).format(value);
}

/** By the language of the browser. Made once: a formatter of its own for each label took a third of a chart's time. */
const formatters = new Map<string, Intl.NumberFormat>();
function kept(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const known = formatters.get(key) ?? new Intl.NumberFormat(undefined, options);
  formatters.set(key, known);
  return known;
}
const WHOLE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const THREE_DIGITS = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const FOUR_DIGITS = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

function scientific(value: number, digits: number): string {
  const [figure, power] = Number(value.toPrecision(digits)).toExponential().split('e');
  const shown = kept(`up to ${digits}`, { maximumSignificantDigits: digits }).format(Number(figure));
  const raised = Array.from(String(Number(power)), (digit) => (digit === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)])).join(
    '',
  );
  return shown === '1' ? `10${raised}` : `${shown}×10${raised}`;
}
