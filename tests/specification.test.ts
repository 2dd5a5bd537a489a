/** The SQL of the specification's README, as it is written there. */
import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';

const STATEMENTS = {
  'active workflows': "SELECT * FROM workflow_runs WHERE status = 'running';",
  'failed workflows': "SELECT * FROM workflow_runs WHERE status = 'failed';",
  'recent events': 'SELECT * FROM workflow_events\nORDER BY created_at DESC\nLIMIT 100;',
  'step execution times': `SELECT
  step_name,
  AVG(completed_at - started_at) as avg_duration
FROM workflow_steps
WHERE completed_at IS NOT NULL
GROUP BY step_name;`,
  'waiting jobs': "SELECT * FROM pgboss.job WHERE state = 'created';",
  'queue depth': "SELECT COUNT(*) FROM pgboss.job WHERE state = 'created';",
  'worker performance': `SELECT
  COUNT(*) as jobs_completed,
  AVG(completedOn - startedOn) as avg_duration
FROM pgboss.job
WHERE state = 'completed'
AND completedOn > NOW() - INTERVAL '1 hour';`,
};

type Answers = Record<keyof typeof STATEMENTS, Record<string, unknown>[]>;

test('every SQL statement of the specification runs as written, and tells the truth', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [completed = ''] = await app.start('sequenceWorkflow', [3]);
  const [failed = ''] = await app.start('failingWorkflow', []);
  const [waiting = ''] = await app.start('parkedWorkflow', ['a-token']);
  await Promise.all([app.ended(completed), app.ended(failed)]);

  const answers = {} as Answers;
  for (const [name, sql] of Object.entries(STATEMENTS)) answers[name as keyof Answers] = await app.query(sql);

  expect(answers['active workflows']).toEqual([expect.objectContaining({ id: waiting })]);
  expect(answers['failed workflows']).toEqual([expect.objectContaining({ id: failed })]);
  expect(answers['recent events'].length).toBeGreaterThan(10);
  expect(answers['step execution times']).toContainEqual({
    step_name: expect.stringContaining('double'),
    avg_duration: expect.anything(),
  });
  expect(Number(answers['queue depth'][0]?.count)).toBe(answers['waiting jobs'].length);
  expect(answers['worker performance'][0]).toEqual({
    jobs_completed: expect.stringMatching(/^[1-9]/),
    avg_duration: expect.anything(),
  });
});
