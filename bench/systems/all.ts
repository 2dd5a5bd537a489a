import { dbos, dbosQueue } from './dbos.ts';
import { floor } from './floor.ts';
import { ours } from './ours.ts';
import { stock } from './stock.ts';
import type { System } from './system.ts';

export const systems: System[] = [floor, ours, stock, dbos, dbosQueue];
