/**
 * A matrix as a product reads it: `read` is WGSL for `fn NAME(row: u32, column: u32) -> vec4f`, four neighbours of a row in the
 * matrix as it is stored, column a multiple of 4; zeros outside.
 */
export interface Operand {
  /** fixes the text, together with the variables' names */
  name: string;
  /** storage buffers, by variable: WGSL element types */
  buffers: Record<string, string>;
  read(name: string, rows: string, columns: string): string;
}

/** WGSL of a `read` with this body, and zeros outside the matrix. */
export const guarded = (name: string, rows: string, columns: string, body: string) => `
fn ${name}(row: u32, column: u32) -> vec4f {
  if (row >= ${rows} || column >= ${columns}) { return vec4f(0.0); }
  ${body}
}`;

/** Four numbers one by one, for rows that are no multiple of four. */
export const oneByOne = (columns: string, at: (column: string) => string) => `
  var four = vec4f(0.0);
  for (var i = 0u; i < 4u && column + i < ${columns}; i++) { four[i] = ${at('(column + i)')}; }
  return four;`;

/** f32, row after row; or a window of columns of longer rows, given by the WGSL for their length and the window's start. */
export function floats(variable: string, columns: number, window?: { stride: string; shift: string }): Operand {
  const whole = columns % 4 === 0;
  const at = (width: string) => (window ? `row * ${window.stride} + ${window.shift}` : `row * ${width}`);
  return {
    name: `floats${whole ? 4 : 1}${window ? ' window' : ''}`,
    buffers: { [variable]: whole ? 'vec4f' : 'f32' },
    read: (name, rows, width) =>
      guarded(
        name,
        rows,
        width,
        whole
          ? `return ${variable}[(${at(width)} + column) / 4u];`
          : oneByOne(width, (column) => `${variable}[${at(width)} + ${column}]`),
      ),
  };
}

/** f32 matrices one above the other: the first has `p.split` rows. */
export function stacked(upper: string, lower: string): Operand {
  const at = (columns: string) => (column: string) =>
    `select(${lower}[max(row, p.split) * ${columns} - p.split * ${columns} + ${column}], ${upper}[min(row, p.split - 1u) * ${columns} + ${column}], row < p.split)`;
  return {
    name: 'stacked',
    buffers: { [upper]: 'f32', [lower]: 'f32' },
    read: (name, rows, columns) => guarded(name, rows, columns, oneByOne(columns, at(columns))),
  };
}

/** concat_j(omega_j h), made of (h | logits) [tokens, p.rank + p.heads] and omega [tokens, p.heads] while it is read. */
export function weightedHeads(mixed: string, omega: string): Operand {
  const at = (c: string) =>
    `${omega}[row * p.heads + ${c} / p.rank] * ${mixed}[row * (p.rank + p.heads) + ${c} % p.rank]`;
  return {
    name: 'weightedHeads',
    buffers: { [mixed]: 'f32', [omega]: 'f32' },
    read: (name, rows, columns) => guarded(name, rows, columns, oneByOne(columns, at)),
  };
}
