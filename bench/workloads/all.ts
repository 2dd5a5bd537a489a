import { w1 } from './w1-sequential.ts';
import { w2, w2x3 } from './w2-throughput.ts';
import { w4 } from './w4-length.ts';
import { w5 } from './w5-parallel.ts';

export const workloads = [w1, w2, w2x3, w4, w5];
