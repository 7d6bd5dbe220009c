/** 1536 -> "1.5 KiB" */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** power;
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}

/** 134515008 -> "135M" */
export function count(value: number): string {
  for (const [size, unit] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (value >= size) return `${(value / size).toPrecision(3).replace(/\.0+$/, '')}${unit}`;
  return String(Math.round(value));
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
  return value !== 0 && Math.abs(value) < 1e-3 ? scientific(value, 3) : value.toPrecision(digits);
}

/** 0.0008 -> "0.0008", 0.00008 -> "8×10⁻⁵", 12000 -> "12,000": as a chart's axis has it. */
export function axisLabel(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e6)) return scientific(value, 4);
  return FOUR_DIGITS.format(value);
}

/** Made once: a formatter of its own for each label took a third of a chart's time. */
const FOUR_DIGITS = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

function scientific(value: number, digits: number): string {
  const [shown, power] = Number(value.toPrecision(digits)).toExponential().split('e');
  const raised = Array.from(String(Number(power)), (digit) => (digit === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)])).join(
    '',
  );
  return shown === '1' ? `10${raised}` : `${shown}×10${raised}`;
}
