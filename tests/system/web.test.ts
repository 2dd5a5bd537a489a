import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { createTestDatabase } from '../support/database.ts';
import { startPage } from '../support/page.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';

/** The screenshots of the README are copies of these. */
const SCREENSHOTS = join(PROJECT, '.test');

async function analyzeContent() {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode, stdout } = await run(startProgram(join(PROJECT, 'index.ts'), ['content', '--json'], { env }));
  expect(exitCode).toBe(0);
  const [analysis] = (JSON.parse(stdout) as { runs: { runId: string }[] }).runs;
  return { ...database, env, runId: analysis!.runId };
}

test('in the browser, the web page lists the run, and shows its steps, its events and its stream', async () => {
  const { env, runId } = await analyzeContent();
  const web = await startPage('web', { env });
  const { context, errors } = await openBrowser();
  const page = await context.newPage();
  await page.goto(`http://localhost:${web.port}`);
  await page.getByText(runId).click();

  await page.waitForURL(`**/run/${runId}`);
  await page.getByText('End of run').waitFor();
  // The page cuts the names of short spans.
  for (const span of [/^analy/, 'sleep', 'generateReport']) await page.getByText(span).first().waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'web.png') });
  await page.getByText('generateReport').first().click();
  await page.getByText('step_completed').waitFor();
  await page.getByRole('tab', { name: 'Events' }).click();
  await page.getByText('Wait Completed').waitFor();
  await page.getByRole('tab', { name: 'Streams' }).click();
  await page.getByText(/^strm_/).click();
  await page.getByText('(Simulated:').first().waitFor();
  expect(errors).toEqual([]);
});

test('in the browser, the dashboard shows the queues and a job', async () => {
  const { env, query, runId } = await analyzeContent();
  const [job] = await query<{ id: string; name: string }>(
    'SELECT id, name FROM workflow_queue.job WHERE singleton_key = $1',
    [runId],
  );
  const dashboard = await startPage('dashboard', { env });
  const { context, errors } = await openBrowser();
  const page = await context.newPage();
  await page.goto(dashboard.url);
  await page.getByRole('link', { name: job!.name, exact: true }).click();
  await page.getByRole('heading', { name: job!.name }).waitFor();
  await page.getByRole('combobox').selectOption({ label: 'All States' });
  await page.getByText(job!.id).waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'dashboard.png') });
  await page.getByText(job!.id).click();
  await page.getByText(runId).first().waitFor();
  expect(errors).toEqual([]);
});
