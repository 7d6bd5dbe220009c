import { unparse } from 'papaparse';
import type { Table } from './line.ts';

export const csvOf = (table: Table): string => `${unparse(table, { newline: '\n' })}\n`;
