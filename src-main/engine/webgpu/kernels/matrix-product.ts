import type { Kernel } from '../kernel.ts';
import { MATRIX_SUBGROUPS as QUARTERS, type MatrixUnits, type Tile } from '../tiles.ts';
import { PRODUCT_PARAMS, readsOf, storing, type Along, type ProductSpec } from './product-parts.ts';

// Products on a device's tensor cores (WGSL's chromium_experimental_subgroup_matrix; Dawn, docs/dawn/features/subgroup_matrix.md): tiles in
// f16, whatever the weights lie in, sums in f32. A workgroup has four quarters of its tile of the result, a subgroup each.

/** WGSL of what is done with the small matrices of a subgroup; offsets count numbers of the workgroup's tiles. */
export interface Matrices {
  enable: string[];
  text: string;
  /** an empty result, the nth of its quarter */
  empty(n: number): string;
  left(offset: string, stride: number): string;
  /** `turned`: its columns lie one after the other */
  right(offset: string, stride: number, turned: boolean): string;
  multiplied(left: string, right: string, sum: string): string;
  /** a statement: a result into `patches` */
  stored(offset: string, sum: string, stride: number): string;
}

/** By the device's own instructions. */
export const subgroupMatrices = ({ rows, columns, inner }: MatrixUnits): Matrices => {
  const load = (side: string, major: string, tile: string, offset: string, stride: number) =>
    `subgroupMatrixLoad<subgroup_matrix_${side}, ${major}>(&${tile}, ${offset}, ${stride}u)`;
  return {
    enable: ['subgroups', 'chromium_experimental_subgroup_matrix'],
    text: '',
    empty: () => `subgroup_matrix_result<f32, ${columns}, ${rows}>()`,
    left: (...at) => load(`left<f16, ${inner}, ${rows}>`, 'row_major', 'leftTile', ...at),
    right: (offset, stride, turned) =>
      load(`right<f16, ${columns}, ${inner}>`, turned ? 'col_major' : 'row_major', 'rightTile', offset, stride),
    multiplied: (left, right, sum) => `subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sum})`,
    stored: (offset, sum, stride) => `subgroupMatrixStore<row_major>(&patches, ${offset}, ${sum}, ${stride}u);`,
  };
};

/** Fills a tile row by row as the matrix lies: `across` numbers of `down` rows. Matrices are loaded from single numbers. */
const fill = (name: string, read: string, [down, across]: [number, number], at: string, threads: number, times = '') =>
  `for (var i = thread; i < ${(down * across) / 4}u; i += ${threads}u) {
      let row = i / ${across / 4}u;
      let column = i % ${across / 4}u * 4u;
      let four = vec4<f16>(${read}(${at})${times});
      for (var j = 0u; j < 4u; j++) { ${name}[i * 4u + j] = four[j]; }
    }`;

/**
 * A product in half precision whose tile has `units`. Workgroups are of as many threads as four subgroups can have at most; where a device's
 * are smaller, the rest help to fill tiles.
 */
export function matrixKernel(
  spec: ProductSpec,
  tile: Tile & { units: MatrixUnits },
  threads: number,
  wide: boolean,
  matrices = subgroupMatrices(tile.units),
): Kernel {
  const { left, right, leftAlong, rightAlong, addend, splitRows } = spec;
  const { rows, columns, inner, units } = tile;
  const shape = (along: Along, side: string) => (along === 'inner' ? [side, 'p.inner'] : ['p.inner', side]);
  const [leftRows, leftColumns] = shape(leftAlong, 'p.rows') as [string, string];
  const [rightRows, rightColumns] = shape(rightAlong, 'p.columns') as [string, string];
  const number = wide ? 'vec4f' : 'f32';
  return {
    name: `product matrices ${left.name} ${right.name} ${rightAlong} ${addend} ${splitRows} ${wide} ${Object.values(units).join()} ${[rows, columns, inner].join()}`,
    reads: readsOf(spec, number),
    writes: splitRows ? { upperResult: number, lowerResult: number } : { result: number },
    params: PRODUCT_PARAMS,
    enable: ['f16', ...matrices.enable],
    code: `${left.read('readLeft', leftRows, leftColumns)}
${right.read('readRight', rightRows, rightColumns)}
var<workgroup> leftTile: array<f16, ${rows * inner}>;
var<workgroup> rightTile: array<f16, ${columns * inner}>;
var<workgroup> patches: array<f32, ${QUARTERS * units.rows * units.columns}>; // a result's part of each quarter
${matrices.text}
${storing(spec, true, wide)}
${body(spec, tile, threads, matrices)}`,
  };
}

function body({ rightAlong }: ProductSpec, tile: Tile & { units: MatrixUnits }, threads: number, matrices: Matrices) {
  const { rows, columns, inner, units } = tile;
  const list = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const [down, across] = [rows / 2 / units.rows, columns / 2 / units.columns];
  const each = (line: (row: number, column: number) => string) =>
    list(down, (row) => list(across, (column) => line(row, column)));
  const turned = rightAlong === 'inner';
  const size = units.rows * units.columns;
  const rightOf = (n: number) =>
    turned
      ? matrices.right(`(firstRight + ${n * units.columns}u) * ${inner}u + deep`, inner, true)
      : matrices.right(`deep * ${columns}u + firstRight + ${n * units.columns}u`, columns, false);
  return `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
  let firstRow = (group.y + p.firstGroup) * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let firstLeft = subgroup / 2u * ${rows / 2}u;
  let firstRight = subgroup % 2u * ${columns / 2}u;
  ${each((row, column) => `var sum${row}_${column} = ${matrices.empty(row * across + column)};`)}
  for (var k = 0u; k < p.inner; k += ${inner}u) {
    ${fill('leftTile', 'readLeft', [rows, inner], 'firstRow + row, k + column', threads, ' * scales[min(firstRow + row, p.rows - 1u)].x')}
    ${
      turned
        ? fill('rightTile', 'readRight', [columns, inner], 'firstColumn + row, k + column', threads)
        : fill('rightTile', 'readRight', [inner, columns], 'k + row, firstColumn + column', threads)
    }
    workgroupBarrier();
    if (subgroup < ${QUARTERS}u) {
      for (var deep = 0u; deep < ${inner}u; deep += ${units.inner}u) {
        ${list(down, (n) => `let left${n} = ${matrices.left(`(firstLeft + ${n * units.rows}u) * ${inner}u + deep`, inner)};`)}
        ${list(across, (n) => `let right${n} = ${rightOf(n)};`)}
        ${each((row, column) => `sum${row}_${column} = ${matrices.multiplied(`left${row}`, `right${column}`, `sum${row}_${column}`)};`)}
      }
    }
    workgroupBarrier();
  }
  ${each(
    (
      row,
      column,
    ) => `if (subgroup < ${QUARTERS}u) { ${matrices.stored(`subgroup * ${size}u`, `sum${row}_${column}`, units.columns)} }
  workgroupBarrier();
  for (var i = thread; i < ${(QUARTERS * size) / 4}u; i += ${threads}u) {
    let quarter = i / ${size / 4}u;
    let at = i % ${size / 4}u * 4u;
    let row = firstRow + quarter / 2u * ${rows / 2}u + ${row * units.rows}u + at / ${units.columns}u;
    let column = firstColumn + quarter % 2u * ${columns / 2}u + ${column * units.columns}u + at % ${units.columns}u;
    putFour(row, column, vec4f(patches[i * 4u], patches[i * 4u + 1u], patches[i * 4u + 2u], patches[i * 4u + 3u]));
  }
  workgroupBarrier();`,
  )}
}`;
}
