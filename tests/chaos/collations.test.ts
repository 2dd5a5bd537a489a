import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { createTestDatabase } from '../support/database.ts';
import { LITHUANIAN, runChains } from '../support/lithuanian.ts';

test('sixty runs of eight steps complete in a database that sorts as another language does', async () => {
  const { url } = await createTestDatabase({ setUp: false, locale: LITHUANIAN });
  await setUpDatabase(url, 'workflow_queue');
  expect(await runChains(url, { count: 60, steps: 8 })).toEqual(Array.from({ length: 60 }, () => 16));
});
