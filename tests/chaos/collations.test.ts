import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { createTestDatabase } from '../support/database.ts';
import { LITHUANIAN, runChains } from '../support/lithuanian.ts';

test('sixty runs of twelve steps complete in a database that sorts as another language does', async () => {
  const { url } = await createTestDatabase({ setUp: false, locale: LITHUANIAN });
  await setUpDatabase(url, 'workflow_queue');
  expect(await runChains(url, { count: 60, steps: 12 })).toEqual(Array.from({ length: 60 }, () => 24));
});
