import type { Matrix, SiteMoments } from './moments.ts';

/** docs/method.md, Static export: ridge of every inverse, as a share of the mean of the matrix's diagonal. */
export const RIDGE = 1e-6;

/** z ~ P h for the router's weights averaged: P = stack_j(E[omega_j] I), [N * r, r]. */
export function averaged({ zh, omega }: SiteMoments): Matrix {
  const rank = zh.columns;
  const data = new Float64Array(zh.rows * rank);
  for (let row = 0; row < zh.rows; row++) data[row * rank + (row % rank)] = omega[Math.floor(row / rank)]!;
  return { rows: zh.rows, columns: rank, data };
}

/**
 * z ~ P h in the least-squares sense, so that B* = [B_1 ... B_N] P (docs/method.md, Static export):
 *
 *     P = P0 + (E[z h^T] - P0 E[h h^T]) (E[h h^T] + ridge)^-1        P0: the averaged router
 *
 * The ridge holds P to P0 instead of 0. Then P minimises E|B z - B P h|^2 + ridge |B (P - P0)|^2, which is the averaged error
 * at P0: no site can come out worse than averaging.
 */
export function regressed(moments: SiteMoments): Matrix {
  const { hh, zh } = moments;
  const start = averaged(moments);
  const rest = subtract(zh, multiply(start, hh));
  return add(start, solveRight(rest, hh, (RIDGE * trace(hh)) / hh.rows));
}

/**
 * Relative output error of z ~ P h at a site: sqrt(E|B z - B P h|^2 / E|B z|^2); 0 where the site puts out nothing.
 * @param bb B B^T of the site's B in memory layout [N * r, out]: [N * r, N * r]
 */
export function relativeError(p: Matrix, { hh, zh, zz }: SiteMoments, bb: Matrix): number {
  const cross = multiply(zh, transposed(p));
  const residual = add(subtract(subtract(zz, cross), transposed(cross)), multiply(multiply(p, hh), transposed(p)));
  return ratio(inner(bb, residual), inner(bb, zz));
}

/** sqrt(error / whole) of two energies, 0 without any; rounding can take a tiny error below 0. */
export function ratio(error: number, whole: number): number {
  return whole > 0 ? Math.sqrt(Math.max(0, error) / whole) : 0;
}

/** sum of a_ij b_ij */
export function inner(a: Matrix, b: Matrix): number {
  return a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);
}

/** B B^T [rows, rows] of a matrix on the host, [rows, columns] row-major. */
export function gramOf(b: Float32Array, rows: number): Matrix {
  const columns = b.length / rows;
  const data = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += b[i * columns + k]! * b[j * columns + k]!;
      data[i * rows + j] = data[j * rows + i] = sum;
    }
  }
  return { rows, columns: rows, data };
}

/** a (s + ridge I)^-1 for a symmetric, positive semidefinite s, by Cholesky. */
function solveRight(a: Matrix, s: Matrix, ridge: number): Matrix {
  const n = s.rows;
  const l = cholesky(s, ridge);
  const out = Float64Array.from(a.data);
  for (let row = 0; row < a.rows; row++) {
    const x = out.subarray(row * n, (row + 1) * n);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) x[i]! -= l[i * n + k]! * x[k]!;
      x[i]! /= l[i * n + i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) x[i]! -= l[k * n + i]! * x[k]!;
      x[i]! /= l[i * n + i]!;
    }
  }
  return { rows: a.rows, columns: n, data: out };
}

/** Lower L with L L^T = s + ridge I. A direction without any input gets no share of the solution. */
function cholesky(s: Matrix, ridge: number): Float64Array {
  const n = s.rows;
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = s.data[i * n + j]! + (i === j ? ridge : 0);
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
      l[i * n + j] = i === j ? Math.sqrt(sum > 0 ? sum : Infinity) : sum / l[j * n + j]!;
    }
  }
  return l;
}

function trace({ rows, data }: Matrix): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) sum += data[i * rows + i]!;
  return sum;
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  const data = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.columns; k++) {
      const factor = a.data[i * a.columns + k]!;
      for (let j = 0; j < b.columns; j++) data[i * b.columns + j]! += factor * b.data[k * b.columns + j]!;
    }
  return { rows: a.rows, columns: b.columns, data };
}

export function transposed({ rows, columns, data }: Matrix): Matrix {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  return { rows: columns, columns: rows, data: out };
}

const add = (a: Matrix, b: Matrix): Matrix => ({ ...a, data: a.data.map((value, i) => value + b.data[i]!) });
const subtract = (a: Matrix, b: Matrix): Matrix => ({ ...a, data: a.data.map((value, i) => value - b.data[i]!) });
