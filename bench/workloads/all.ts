import { w1 } from './w1-sequential.ts';
import { w2, w2x3 } from './w2-throughput.ts';
import { w3 } from './w3-start.ts';
import { w4 } from './w4-length.ts';
import { w5 } from './w5-parallel.ts';
import { w6 } from './w6-crowded.ts';
import { w7 } from './w7-stream.ts';
import { w8 } from './w8-example.ts';

export const workloads = [w1, w2, w2x3, w3, w4, w5, w6, w7, w8];
